"""What is drawn of a stand, asked of a real Prometheus as a page would ask it."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finsight_serve.observability.grafana import dashboard_json
from finsight_serve_vllm.dashboard import DASHBOARD as OF_VLLM

from .stand import Stand
from .waiting import wait_until

if TYPE_CHECKING:
    from .test_prometheus import Prometheus

Place = tuple[str, str, str]
"""Page, panel, and which of its queries."""

DRAWN_S = 40.0  # rates need two scrapes, and what is recorded an evaluation
QUIET = "nothing is wrong here"
NO_TLS, NO_ROTATION = "the stand has no certificate", "no key was rotated"
NOT_SIMULATED = "the simulated engine tells vLLM's load, tokens and time to the first token, and no more"
EMPTY: Mapping[Place, str] = {
    ("finsight-overview", "Firing", "A"): QUIET,
    ("finsight-overview", "What ends", "A"): NO_TLS,
    ("finsight-overview", "What ends", "B"): NO_ROTATION,
    ("finsight-tenants", "Share moved", "B"): "no migration is paused",
    **{
        ("finsight-vllm", panel, ref): NOT_SIMULATED
        for panel, refs in {
            "KV cache": "A",
            "Preempted": "A",
            "Prefix cache": "A",
            "Finished": "A",
            "Tokens of prompts": "A",
            "In the queue": "ABC",
            "Between tokens": "ABC",
            "Whole request": "ABC",
        }.items()
        for ref in refs
    },
}
"""Queries that rightly find nothing on this stand."""


def pages(stand: Stand) -> list[dict[str, Any]]:
    """Those that `fs` writes for the stand, and vLLM's, whose names its simulated engine bears."""
    folder = stand.folder / "grafana"
    done = stand.fs("plan", "-o", "grafana", "--to", str(folder))
    assert done.returncode == 0, done.stderr
    written = [json.loads(Path(file).read_text()) for file in sorted(folder.glob("dashboards/*.json"))]
    return [*written, json.loads(json.dumps(dashboard_json(OF_VLLM, {})))]


def chosen(prometheus: "Prometheus", page: Mapping[str, Any]) -> dict[str, str]:
    """All that can be chosen of each of the page's variables, as the page asks for it."""
    found = {"__rate_interval": "1m"}
    for variable in page["templating"]["list"]:
        if variable["type"] != "query":
            continue
        match = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"])
        assert match, variable
        values = prometheus.get(f"label/{match[2]}/values", **{"match[]": filled(match[1], found)})
        found[variable["name"]] = "|".join(values)
    return found


def filled(query: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], query)


def queries(prometheus: "Prometheus", found: list[dict[str, Any]]) -> Iterator[tuple[Place, str]]:
    for page in found:
        values = chosen(prometheus, page)
        for panel in page["panels"]:
            for target in panel.get("targets", ()):
                yield (page["uid"], panel["title"], target["refId"]), filled(target["expr"], values)


def assert_all_is_drawn(stand: Stand, prometheus: "Prometheus") -> None:
    """Each query finds something, but those that rightly do not."""
    found = pages(stand)

    def without_data() -> set[Place]:
        return {place for place, query in queries(prometheus, found) if not prometheus.ask(query)}

    wrong: list[str] = []

    def only_the_known_are_without() -> bool:
        found_nothing = without_data()
        wrong[:] = [f"{place}: nothing" for place in sorted(found_nothing - EMPTY.keys())]
        wrong.extend(f"{place}: something, though {EMPTY[place]}" for place in sorted(EMPTY.keys() - found_nothing))
        return not wrong

    try:
        wait_until(only_the_known_are_without, DRAWN_S, "every query finds what it should")
    except AssertionError as error:
        raise AssertionError("\n".join((str(error), *wrong))) from None

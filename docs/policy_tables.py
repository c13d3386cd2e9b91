"""The tables of docs/policy.md, made anew and put into it.

`python docs/policy_tables.py grades`: from the code. `… reference`: simulated, a minute; needs `finsight-serve[lab]`.
`… bench-sim FILE`: what `python -m benchmarks.sim -o json > FILE` measured.
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from finsight_serve.cli.compiling import compile_at, from_reference
from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.host import Host
from finsight_serve.stack import read_policy

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "policy.md"
EXAMPLE = ROOT / "examples" / "finsight"
BACKENDS = ("ray", "k8s-keda")
A_SUNDAY_S = 1763913600.0  # 2025-11-23: no window is open
EARLIER, LATER = (0, 1, 2, 6, 7), (8, 9, 10, 13)
DRAWS = 3
POLICIES = {
    "DEFAULT": "serving.policy:DEFAULT",
    "MARKET_HOURS": "serving.policy:PLATFORM",
    "TUNED": "serving.tuned_policy:TUNED",
    "TUNED_FLOOR_1": "serving.tuned_policy:TUNED_FLOOR_1",
}
SEARCHED_ON = {"TUNED": EARLIER, "TUNED_FLOOR_1": LATER}
PROMISED_S = 1.0


def grades() -> str:
    """A row for each field of a policy, a column for each backend."""
    host, found = Host(), {}
    os.chdir(EXAMPLE)
    for backend in BACKENDS:
        source = from_reference(POLICIES["MARKET_HOURS"], "chat", backend, None, {}, host)
        found[backend] = compile_at(source, A_SUNDAY_S, exported=False, host=host).grades
    rows = [
        {"field": f"`{spec.name}`", **{name: _grade(found[name][spec.name]) for name in BACKENDS}}
        for spec in fields(AutoscalingPolicy)
    ]
    return "\n".join(table(rows))


def _grade(grade: Any) -> str:
    return grade.verdict + (f": {grade.note}" if grade.note else "")


def figures(days: Sequence[int], draws: int, backends: Sequence[str] = BACKENDS) -> Iterator[Mapping[str, Any]]:
    """A row for each policy and backend, over `draws` draws of the reference load's arrivals."""
    from finsight_serve.lab.clairvoyant import clairvoyant
    from finsight_serve.lab.days import score
    from finsight_serve.lab.simulation import simulate

    service, loads = replica(), [reference_load(days, seed) for seed in range(draws)]
    for name, reference in POLICIES.items():
        policy = read_policy(reference, EXAMPLE)
        bounds = [clairvoyant(policy, load, service, p99_wait_s=PROMISED_S) for load in loads]
        bound = sum(one.replica_hours for one in bounds) / draws
        for backend in backends:
            loop = Host().control_loop(backend)
            assert loop is not None
            outcomes = [simulate(policy, load, loop, service) for load in loads]
            found = score(outcomes)
            yield {
                "policy": name,
                "backend": backend,
                "searched on these days": "yes" if SEARCHED_ON.get(name) == days else "",
                "replica-hours a day": round(found["replica_hours"] / len(days), 2),
                "bound": round(bound / len(days), 2),
                "ratio": round(found["replica_hours"] / bound, 4),
                "p99 wait s": round(found["p99_wait_s"], 2),
                "of each draw": ", ".join(f"{outcome.p99_wait_s:.2f}" for outcome in outcomes),
            }


def replica() -> Any:
    from finsight_serve.lab.measurement import read_measurement
    from finsight_serve.lab.service import ServiceModel

    measured = read_measurement(EXAMPLE / "serving" / "replica.json")
    names = ("service_s", "max_concurrency", "cold_start_s")
    return ServiceModel(**{name: getattr(measured, name) for name in names})


def reference_load(days: Sequence[int], seed: int) -> Any:
    """Five clients at 2,000 requests a day each, on the nine working days of ServeGen's fortnight; of them, `days`."""
    from finsight_serve.lab.trace import read_trace

    drawn = read_trace(
        next((EXAMPLE / "traces").glob("servegen*.csv")),
        starts="2026-03-31",
        timezone="America/New_York",
        days=sorted((*EARLIER, *LATER)),
        clients=(1, 156, 69, 107, 103),
        per_client_per_day=2000,
        seed=seed,
    )
    return drawn.select(days)


def reference() -> str:
    parts = []
    for days in (EARLIER, LATER):
        parts += [f"Days {', '.join(map(str, days))}; {DRAWS} draws:", "", *table(list(figures(days, DRAWS))), ""]
    return "\n".join(parts).rstrip()


def table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| " + " | ".join(rows[0]) + " |"
    yield "| " + " | ".join("---" for _ in rows[0]) + " |"
    for row in rows:
        yield "| " + " | ".join(str(value).replace("|", "\\|") for value in row.values()) + " |"


def block(name: str) -> "re.Pattern[str]":
    return re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)


def bench_sim(file: Path) -> str:
    parts = []
    for title, rows in json.loads(file.read_text(encoding="utf-8")).items():
        named = [{key.replace("_", " "): value for key, value in row.items()} for row in rows]
        parts += [f"{title[0].upper()}{title[1:]}:", "", *table(named), ""]
    return "\n".join(parts).rstrip()


def main(name: str, *files: str) -> None:
    made = {"grades": grades, "reference": reference, "bench-sim": bench_sim}[name](*map(Path, files))
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(block(name).sub(lambda _: f"\n{made}\n\n", page), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Requests for the tests of the ledger, and what should be made of them, worked out in plain Python."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from finsight_serve.domain.figures import Figures, nearest_rank
from finsight_serve.plugin import Request
from finsight_serve.store.ledger import Selection, Totals, Usage

HOUR_S = 3600.0
NOON_S = 1_800_000_000.0 - 1_800_000_000.0 % HOUR_S


def request(id: str = "a", **changes: Any) -> Request:
    """A whole answer of two seconds at noon."""
    whole = Request("1", id, "acme", "chat", "127.0.0.1:1", 200, "complete", NOON_S, 2.0, 0.1, 1)
    return replace(whole, **changes)


def turned_away(id: str = "t", **changes: Any) -> Request:
    return request(id, **{"status": 429, "replica": "", "duration_s": 0.0, "ttft_s": None, **changes})


def requests(most: int = 30) -> st.SearchStrategy[list[Request]]:
    """Each with an id of its own, over three hours, some at the very edges of one."""
    times = st.one_of(
        st.sampled_from([NOON_S, NOON_S + HOUR_S, NOON_S + HOUR_S - 0.001]), st.floats(NOON_S, NOON_S + 3 * HOUR_S)
    )
    tokens = st.none() | st.integers(0, 1000)
    one = st.builds(
        Request,
        st.just(""),
        st.just(""),
        st.sampled_from(["acme", "zeta", ""]),
        st.sampled_from(["chat", "other", ""]),
        st.sampled_from(["127.0.0.1:1", ""]),
        st.sampled_from([0, 200, 404, 429, 499, 500, 503]),
        st.sampled_from(["complete", "truncated", "client_closed", "failed", "unknown"]),
        times,
        st.none() | st.sampled_from([0.25, 0.5]) | st.floats(0, 100),
        st.none() | st.floats(0, 10),
        st.integers(0, 4),
        tokens,
        tokens,
        tokens,
        st.sampled_from(["usage", "chunks", ""]),
    )
    return st.lists(one, max_size=most).map(
        lambda many: [replace(each, id=f"r{n}", cursor=str(n + 1)) for n, each in enumerate(many)]
    )


def selections() -> st.SearchStrategy[Selection]:
    edges = [NOON_S, NOON_S + HOUR_S, NOON_S + 2 * HOUR_S]
    times = st.one_of(st.sampled_from(edges), st.floats(NOON_S - 10, NOON_S + 3 * HOUR_S))
    return st.builds(
        Selection,
        tenant=st.sampled_from([None, "acme"]),
        deployment=st.sampled_from([None, "chat"]),
        from_version=st.integers(0, 3),
        until_version=st.sampled_from([None, 2, 4]),
        since_s=st.just(0.0) | times,
        until_s=st.just(float("inf")) | times,
    )


def selected(rows: Iterable[Request], by: Selection) -> list[Request]:
    return [
        row
        for row in rows
        if by.tenant in (None, row.tenant)
        and by.deployment in (None, row.deployment)
        and by.from_version <= row.route_version
        and (by.until_version is None or row.route_version < by.until_version)
        and by.since_s <= row.started_s < by.until_s
    ]


def is_turned_away(row: Request) -> bool:
    return row.outcome == "complete" and row.replica == "" and 400 <= row.status < 500


def is_uncounted(row: Request) -> bool:
    answered = row.replica != "" and 200 <= row.status < 400
    return row.completion_tokens is None and (row.outcome == "unknown" or answered)


def totals_of(rows: Iterable[Request]) -> tuple[Totals, ...]:
    def total(tenant: str, deployment: str, of: list[Request]) -> Totals:
        outcomes = [row.outcome for row in of]
        counts = [outcomes.count(o) for o in ("complete", "truncated", "client_closed", "failed", "unknown")]
        return Totals(tenant, deployment, len(of), *counts, sum(map(is_turned_away, of)))

    return _by_place(rows, total)


def figures_of(rows: Iterable[Request]) -> Figures:
    """Of all of them."""
    answered = [row for row in rows if row.outcome in ("complete", "truncated", "failed")]
    answered = [row for row in answered if row.replica or not 400 <= row.status < 500]
    given_up = [row for row in rows if row.outcome == "client_closed" and row.replica and row.ttft_s is None]
    given_up = [row for row in given_up if row.duration_s is not None]
    waits_s = [row.ttft_s for row in answered if row.outcome == "complete" and row.status < 400]
    waits_s = sorted(wait_s for wait_s in waits_s + [row.duration_s for row in given_up] if wait_s is not None)
    ends = sorted((row.started_s + (row.duration_s or 0), row.outcome != "complete") for row in answered)
    bad = [is_bad for _, is_bad in reversed(ends)]
    return Figures(
        len(answered),
        sum(row.outcome == "failed" for row in answered),
        sum(row.outcome == "truncated" for row in answered),
        (*bad, False).index(False),
        nearest_rank(waits_s, 0.50),
        nearest_rank(waits_s, 0.95),
        newest=len(answered) + len(given_up),
        refused=sum(row.outcome == "complete" and 400 <= row.status < 500 for row in answered),
        given_up=len(given_up),
    )


def usage_of(rows: Iterable[Request]) -> tuple[Usage, ...]:
    def used(tenant: str, deployment: str, of: list[Request]) -> Usage:
        prompt, completion = (sum(getattr(r, f"{name}_tokens") or 0 for r in of) for name in ("prompt", "completion"))
        by_chunks = sum(row.tokens_from == "chunks" for row in of)
        return Usage(tenant, deployment, len(of), prompt, completion, by_chunks, sum(map(is_uncounted, of)))

    return _by_place(rows, used)


def _by_place(rows: Iterable[Request], make: Callable[[str, str, list[Request]], Any]) -> tuple[Any, ...]:
    places: dict[tuple[str, str], list[Request]] = {}
    for row in rows:
        places.setdefault((row.tenant, row.deployment), []).append(row)
    return tuple(make(*place, places[place]) for place in sorted(places))

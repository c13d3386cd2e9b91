"""`python -m docs.record_ui`: serves a stack for real, moves a tenant on it, and takes the pictures of `fs ui`.

The requests of the day before the stack was started are made up, so that the charts have a day to show; all else is as
it was: replicas, routes, the migration and its ledger. It needs Chromium and Playwright, and takes a minute.
"""

import asyncio
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.e2e.blue_green import deployment
from tests.e2e.browser import lacking, opened_browser
from tests.e2e.moving import migrate, migrations, wait_phase
from tests.e2e.stand import Stand
from tests.e2e.ui_page import served_page
from tests.e2e.waiting import wait_until

from finsight_serve.controller.measuring import steps_of
from finsight_serve.plugin import Request
from finsight_serve.store import Ledger

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DOCS = Path(__file__).parent
TENANTS = {"equities": "chat", "fixed-income": "chat", "currencies": "chat", "research": "summaries"}
MOVED, DESTINATION = "currencies", "chat-next"
STEPS = ("--steps", "5,25,50,100", "--hold", "12s", "--min-requests", "5", "--limit", "error_rate<=1%")
PICTURED_STEP = "shifting 50"
PICTURES: Mapping[str, Mapping[str, Any]] = {
    "ui-light": {"viewport": {"width": 1200, "height": 1220}, "color_scheme": "light"},
    "ui-dark": {"viewport": {"width": 1200, "height": 1220}, "color_scheme": "dark"},
    "ui-phone": {"viewport": {"width": 360, "height": 1000}, "color_scheme": "light", "device_scale_factor": 1.5},
}
HOUR_S, DAY_S = 3600.0, 86400.0
BUSIEST_HOUR = 640  # requests of a tenant


def main() -> None:
    if why := lacking():
        raise SystemExit(f"error: {why}")
    with closing(Stand("finsight")) as stand:
        write(stand)
        stand.state.mkdir(mode=0o700)
        asyncio.run(make_up_a_day(stand.state))
        stand.serve()
        with served_page(stand) as url, opened_browser() as browser:
            take_pictures(stand, browser, url)


def write(stand: Stand) -> None:
    zone = "America/New_York"
    hours = {"name": "trading", "weekly": {"start": "09:00", "end": "16:00", "timezone": zone}, "min_replicas": 3}
    chat = deployment("chat", replicas=2, most=4)
    chat["policy"]["schedule"] = [hours]
    stand.write(
        health={"period_s": 1},
        deployments=[chat, deployment(DESTINATION, replicas=1, most=4), deployment("summaries", replicas=1, most=2)],
        tenants=[{"name": name, "deployment": place} for name, place in TENANTS.items()],
    )


async def make_up_a_day(state: Path) -> None:
    """Of requests that follow New York's trading hours, the same at each recording."""
    with closing(Ledger(state)) as ledger:
        await ledger.add(list(made_up(time.time())))


def made_up(now_s: float) -> Iterator[Request]:
    chance = Random(7)
    first_s = now_s // HOUR_S * HOUR_S - DAY_S
    for tenant, place in TENANTS.items():
        share = 0.4 if place == "summaries" else 1.0
        for hour in range(24):
            from_s = first_s + hour * HOUR_S
            for number in range(round(share * BUSIEST_HOUR * busy(from_s) * chance.uniform(0.8, 1.1))):
                lost = "failed" if chance.random() < 0.0002 else "complete"
                at_s = from_s + chance.uniform(0, HOUR_S)
                status = 502 if lost == "failed" else 200
                yield Request(
                    "", f"{tenant}-{hour}-{number}", tenant, place, "127.0.0.1:1", status, lost, at_s, 1.2, 0.1
                )  # fmt: skip


def busy(at_s: float) -> float:
    """From 0 to 1: two peaks while New York trades, little at night."""
    hour = (at_s / HOUR_S + offset_h(at_s)) % 24
    peaks = math.exp(-((hour - 10) ** 2) / 4) + 0.85 * math.exp(-((hour - 14.5) ** 2) / 5)
    return 0.06 + 0.94 * min(1.0, peaks)


def offset_h(at_s: float) -> float:
    offset = datetime.fromtimestamp(at_s, ZoneInfo("America/New_York")).utcoffset()
    return offset.total_seconds() / HOUR_S if offset else 0.0


def take_pictures(stand: Stand, browser: "Browser", url: str) -> None:
    loads = [stand.load(tenant, workers=8 if tenant == MOVED else 2, tokens=10) for tenant in TENANTS]
    for load in loads:
        load.__enter__()
    try:
        wait_until(lambda: all(load.streaming for load in loads), 30, "streams run")
        id = migrate(stand, MOVED, DESTINATION, *STEPS)
        wait_phase(stand, id, PICTURED_STEP)
        wait_until(lambda: answered(stand, id), 30, "requests of the step are in the ledger")
        for name, look in PICTURES.items():
            with closing(browser.new_context(**look)) as context:
                page = context.new_page()
                page.goto(url)
                page.wait_for_selector("#deployments .card")
                page.wait_for_timeout(1500)  # its bars have come to rest
                page.screenshot(path=DOCS / f"{name}.png")
    finally:
        for load in loads:
            load.__exit__()


def answered(stand: Stand, id: str) -> int:
    """Requests of the migration's present step that its destination has answered."""
    with closing(Ledger(stand.state, read_only=True)) as ledger:
        steps = steps_of(migrations(stand)[id], ledger)
    return next(one.complete for one in reversed(steps) if one.deployment == DESTINATION)


if __name__ == "__main__":
    main()

"""Waits until the Gateway's controller has taken up the routes, or says why it does not."""

from collections.abc import Collection
from contextlib import aclosing

import anyio

from finsight_serve.plugin import ApplyError

from ..kinds import GATEWAY, HTTP_ROUTE, Json
from ..kube_api import KubeApi
from ..names import ROUTES, owner_selector
from ..refusals import FORBIDDEN, GONE, ApiRefusal
from .conditions import Verdict, verdict
from .options import Options


async def wait_until_accepted(api: KubeApi, names: Collection[str], owner: str, options: Options) -> None:
    """Of the routes with these names. `accept_timeout_s` is how long nothing may happen at all, so that a thousand
    routes may take what they take. Raises `ApplyError`.
    """
    missing = set(names)
    while missing:
        routes, version = await api.list(HTTP_ROUTE, owner_selector(owner, ROUTES))
        _strike(missing, routes, options)
        try:
            with anyio.move_on_after(options.accept_timeout_s) as patience:
                await _watch(api, version, owner, missing, patience, options)
        except ApiRefusal as refusal:
            if refusal.code != GONE:
                raise
        if patience.cancelled_caught:
            raise ApplyError(_unanswered(missing, options))


async def _watch(
    api: KubeApi, version: str, owner: str, missing: set[str], patience: anyio.CancelScope, options: Options
) -> None:
    """Until none is missing, or the watch ends."""
    if not missing:
        return
    async with aclosing(api.watch(HTTP_ROUTE, owner_selector(owner, ROUTES), version)) as changes:  # type: ignore[type-var]
        async for change in changes:
            if change.type == "BOOKMARK":
                continue
            if _strike(missing, [change.body], options):
                patience.deadline = anyio.current_time() + options.accept_timeout_s
            if not missing:
                return


async def find_gateway(api: KubeApi, options: Options) -> Json | None:
    """`api` is of the Gateway's namespace. None where it may not be looked at: then its absence shows later.

    Raises `ApplyError` where it isn't there.
    """
    try:
        gateway = await api.get(GATEWAY, options.gateway_name)
    except ApiRefusal as refusal:
        if refusal.code == FORBIDDEN:
            return None
        raise
    if gateway is None:
        raise ApplyError(
            f"there is no Gateway {options.gateway_name} in namespace {options.gateway_namespace}: correct the option "
            "`gateway` (`kubectl get gateways -A` lists them)"
        )
    return gateway


def _strike(missing: set[str], routes: Collection[Json], options: Options) -> bool:
    """Takes the accepted ones out of `missing`; whether there were any. Raises `ApplyError` for one that is refused."""
    found: dict[str, Verdict] = {
        route["metadata"]["name"]: verdict(route, options) for route in routes if route["metadata"]["name"] in missing
    }
    for one in found.values():
        if one.state == "refused":
            raise ApplyError(one.why)
    accepted = {name for name, one in found.items() if one.state == "accepted"}
    missing -= accepted
    return bool(accepted)


def _unanswered(missing: Collection[str], options: Options) -> str:
    others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return (
        f"no controller has answered to HTTPRoute {min(missing)}{others} for {options.accept_timeout_s:g} s: does the "
        f"controller of Gateway {options.gateway} run? (`kubectl describe gateway {options.gateway_name} -n "
        f"{options.gateway_namespace}`)"
    )

"""Two namespaces as one `KubeApi`: the stack's own, and the Gateway's for the policy that closes it."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from ..kinds import NETWORK_POLICY, Json, Kind
from ..kube_api import Change, KubeApi, connect
from .options import Options


@asynccontextmanager
async def connect_places(options: Options) -> AsyncIterator[KubeApi]:
    """Raises `ApiRefusal` where the credentials can't be read."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(connect(options))
        if not options.proxy_selector:
            yield api
            return
        yield Places(api, await stack.enter_async_context(connect(at_gateway(options))))


def at_gateway(options: Options) -> Options:
    return options.model_copy(update={"namespace": options.gateway_namespace})


class Places:
    """NetworkPolicies are the Gateway's, everything else the stack's."""

    def __init__(self, own: KubeApi, gateways: KubeApi) -> None:
        self.namespace = own.namespace
        self._own, self._gateways = own, gateways

    def _of(self, kind: Kind) -> KubeApi:
        return self._gateways if kind == NETWORK_POLICY else self._own

    async def get(self, kind: Kind, name: str) -> Json | None:
        return await self._of(kind).get(kind, name)

    async def list(self, kind: Kind, selector: str = "") -> tuple[list[Json], str]:
        return await self._of(kind).list(kind, selector)

    def pages(self, kind: Kind, selector: str = "") -> AsyncIterator[tuple[Sequence[Json], str]]:
        return self._of(kind).pages(kind, selector)

    def watch(self, kind: Kind, selector: str, resource_version: str) -> AsyncIterator[Change]:
        return self._of(kind).watch(kind, selector, resource_version)

    async def apply(self, body: Json, *, force: bool = False, dry_run: bool = False) -> Json:
        api = self._gateways if body["kind"] == NETWORK_POLICY.kind else self._own
        return await api.apply(body, force=force, dry_run=dry_run)

    async def create(self, kind: Kind, body: Json, name: str = "", subresource: str = "") -> Json:
        return await self._of(kind).create(kind, body, name, subresource)

    async def patch(self, kind: Kind, name: str, operations: Sequence[Json]) -> Json:
        return await self._of(kind).patch(kind, name, operations)

    async def delete(self, kind: Kind, name: str, *, uid: str = "") -> None:
        await self._of(kind).delete(kind, name, uid=uid)

    async def serves(self, kind: Kind) -> bool:
        return await self._own.serves(kind)

    async def text(self, path: str, query: Mapping[str, str]) -> str:
        return await self._own.text(path, query)

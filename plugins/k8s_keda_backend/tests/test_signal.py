"""What is made of Prometheus' answers. Those of a real one are in tests/cluster/test_signal.py."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from finsight_serve.plugin import ApplyError
from finsight_serve_k8s_keda.options import Options
from finsight_serve_k8s_keda.refusals import ApiRefusal
from finsight_serve_k8s_keda.signal import InCluster, Question, check_signal, in_cluster

pytestmark = pytest.mark.anyio
OUTSIDE = "http://prometheus.example:9090"
ANSWER = '{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"3"]}]}}'
NONE = '{"status":"success","data":{"resultType":"vector","result":[]}}'


class ByProxy:
    """An API server that passes requests on."""

    namespace = "default"

    def __init__(self, answer: str | ApiRefusal = ANSWER) -> None:
        self.answer, self.asked = answer, list[tuple[str, str]]()

    async def text(self, path: str, query: Mapping[str, str]) -> str:
        self.asked.append((path, query["query"]))
        if isinstance(self.answer, ApiRefusal):
            raise self.answer
        return self.answer


def scaled_object(query: str = 'sum(load{pod="a"})') -> dict[str, Any]:
    triggers = [{"type": "prometheus", "name": "queue", "metadata": {"query": query}}, {"type": "cron", "name": "day"}]
    return {"kind": "ScaledObject", "metadata": {"name": "chat"}, "spec": {"triggers": triggers}}


async def check(answer: Any = ANSWER, address: str = OUTSIDE, api: Any = None) -> list[str]:
    def http() -> httpx.AsyncClient:
        def respond(request: httpx.Request) -> httpx.Response:
            if isinstance(answer, Exception):
                raise answer
            return httpx.Response(200, text=answer)

        return httpx.AsyncClient(transport=httpx.MockTransport(respond))

    said: list[str] = []
    bodies = [{"kind": "Deployment", "metadata": {"name": "chat"}}, scaled_object()]
    await check_signal(bodies, api or ByProxy(), http, Options(prometheus=address), said.append)
    return said


async def test_an_answer_is_said_with_its_series() -> None:
    assert await check() == ["deployment 'chat', query 'queue': answers 3, from 3 series"]


async def test_no_series_yet_is_no_refusal() -> None:
    (line,) = await check(NONE)
    assert 'no series yet of load{pod="a"}; until there are, KEDA leaves the count alone' in line


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.ConnectError("refused"), "can't be reached: refused; start it, or correct the option `prometheus`"),
        (httpx.ReadTimeout(""), "can't be reached: ReadTimeout"),
        ("<html>", "is no Prometheus"),
        ("[]", "is no Prometheus"),
        ('{"status":"success","data":{}}', "is no Prometheus"),
        ('{"status":"error","errorType":"bad_data","error":"parse error"}', "refuses the query .*: parse error"),
        (ANSWER.replace("]}]", ']},{"metric":{"pod":"b"},"value":[1,"4"]}]'), "answers 2 series, and KEDA takes one"),
        (ANSWER.replace('"3"', '"NaN"'), "answers nan, which is no number"),
        (ANSWER.replace('"3"', '"+Inf"'), "answers inf, which is no number"),
    ],
)
async def test_what_keda_could_not_use_is_one_line(answer: Any, message: str) -> None:
    with pytest.raises(ApplyError, match=message) as refused:
        await check(answer)
    assert len(str(refused.value).splitlines()) == 1


async def test_an_in_cluster_address_is_asked_by_way_of_the_api_server() -> None:
    api = ByProxy()
    said = await check(ValueError("not asked"), "https://prom.monitoring.svc/prometheus", api)
    assert said == ["deployment 'chat', query 'queue': answers 3, from 3 series"]
    path = "/api/v1/namespaces/monitoring/services/https:prom:443/proxy/prometheus/api/v1/query"
    assert api.asked == [(path, 'sum(load{pod="a"})'), (path, 'count(load{pod="a"})')]


async def test_who_may_not_use_the_proxy_is_told_that_nothing_was_checked() -> None:
    said = await check(address="http://prom.monitoring.svc:9090", api=ByProxy(ApiRefusal("you may not", 403)))
    assert len(said) == 1 and said[0].startswith("not checked whether Prometheus answers KEDA")


async def test_a_service_that_is_not_there_is_a_refusal() -> None:
    with pytest.raises(ApplyError, match="can't be asked by way of the API server: no such service"):
        await check(address="http://prom.monitoring.svc:9090", api=ByProxy(ApiRefusal("no such service", 404)))


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("http://prom.monitoring.svc:9090", InCluster("prom", "monitoring", 9090, "http", "")),
        ("https://prom.monitoring.svc.cluster.local", InCluster("prom", "monitoring", 443, "https", "")),
        ("http://prom.monitoring.svc/a/", InCluster("prom", "monitoring", 80, "http", "/a")),
        ("http://prom.monitoring.svc.example.org", None),
        ("http://prom.monitoring", None),
        ("http://10.0.0.1:9090", None),
        ("http://svc", None),
    ],
)
def test_which_addresses_only_pods_resolve(address: str, found: InCluster | None) -> None:
    assert in_cluster(address) == found


def test_the_series_that_a_query_reads() -> None:
    query = 'avg_over_time((sum(a:b{x="}"}) or sum(increase(c_total{y="\\"}"}[4s])) + sum(a:b{x="}"}))[4s:2s])'
    assert Question("chat", "queue", query).series() == ('a:b{x="}"}', 'c_total{y="\\"}"}')

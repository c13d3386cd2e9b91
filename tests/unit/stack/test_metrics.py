"""Where Prometheus may find the controller."""

import pytest

from finsight_serve.stack.values import MetricsEndpoint

from ..foreign import Foreign
from .loading import SMALL, errors, load


def test_it_is_nowhere_unless_asked_for(one_of_each: Foreign) -> None:
    assert load(one_of_each, SMALL).metrics == MetricsEndpoint("", "runbooks", "http://127.0.0.1:9090")


@pytest.mark.parametrize(
    ("metrics", "listen"),
    [
        ('{listen: "127.0.0.1:9464"}', "127.0.0.1:9464"),
        ('{listen: "localhost:1"}', "localhost:1"),
        ('{listen: "[::1]:9464"}', "[::1]:9464"),
        ('{listen: "0.0.0.0:9464", allow_plaintext: true}', "0.0.0.0:9464"),
        ('{listen: ""}', ""),
    ],
)
def test_where_it_may_be(one_of_each: Foreign, metrics: str, listen: str) -> None:
    assert load(one_of_each, f"{SMALL}metrics: {metrics}").metrics.listen == listen


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ("{listen: 9464}", "fs.yaml:5: metrics.listen: must be text, found 9464"),
        (
            '{listen: "127.0.0.1"}',
            'fs.yaml:5: metrics.listen: must be host:port, for example "127.0.0.1:9464", found 127.0.0.1',
        ),
        (
            '{listen: "127.0.0.1:70000"}',
            'fs.yaml:5: metrics.listen: must be host:port, for example "127.0.0.1:9464", found 127.0.0.1:70000',
        ),
        (
            '{listen: "0.0.0.0:9464"}',
            "fs.yaml:5: metrics: listen: 0.0.0.0:9464 would show every machine who the tenants are and how much they "
            "ask; listen on loopback, or set allow_plaintext: true",
        ),
        *(
            (
                f"{{prometheus: {url}}}",
                "fs.yaml:5: metrics.prometheus: must be an http or https URL without user and password, for example "
                f'"http://127.0.0.1:9090", found "{url}"',
            )
            for url in ("prom:9090", "http://", "http://u:p@prom", "ftp://prom")
        ),
        (
            "{port: 1}",
            "fs.yaml:5: metrics.port: unknown key; allowed: listen, allow_plaintext, runbooks, prometheus",
        ),
    ],
)
def test_where_it_may_not_be(one_of_each: Foreign, metrics: str, expected: str) -> None:
    assert errors(one_of_each, f"{SMALL}metrics: {metrics}") == [expected]

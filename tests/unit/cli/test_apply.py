from dataclasses import replace
from pathlib import Path

import pytest

from finsight_serve.cli.apply import refuse_what_is_more
from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.domain.breaker import BreakerRules
from finsight_serve.errors import UserError
from finsight_serve.stack.values import Stack, Tenant

from .ended import DEPLOYMENTS, STACK

FILE = Path("fs.yaml")
SERVE = "that needs `fs serve`: end the running one by SIGTERM first, traffic goes on"


@pytest.mark.parametrize(
    ("new", "lines"),
    [
        (
            replace(STACK, tenants=(Tenant("default", "code"),)),
            [
                f"fs.yaml: tenants.default.deployment: chat → code; {SERVE}"
                "; or `fs migrate default --to code` moves it under limits"
            ],
        ),
        (
            replace(STACK, deployments=(*DEPLOYMENTS, replace(DEPLOYMENTS[0], name="new"))),
            [f"fs.yaml: deployments.new: none → added; {SERVE}"],
        ),
        (
            replace(STACK, deployments=DEPLOYMENTS[:1]),
            [f"fs.yaml: deployments.code: there → removed; {SERVE}"],
        ),
    ],
    ids=["a tenant's deployment", "a new deployment", "one deployment less"],
)
def test_what_is_more_than_numbers_is_a_line_with_what_to_do(new: Stack, lines: list[str]) -> None:
    with pytest.raises(UserError) as raised:
        refuse_what_is_more(FILE, STACK, new)
    assert str(raised.value).splitlines() == lines


def test_numbers_are_no_more() -> None:
    policies = tuple(replace(one, policy=AutoscalingPolicy(max_replicas=9)) for one in DEPLOYMENTS)
    limited = (Tenant("default", "chat", 8, 2.5, 900),)
    refuse_what_is_more(
        FILE, STACK, replace(STACK, deployments=policies, tenants=limited, breaker=BreakerRules(open_s=5))
    )

import pytest

from finsight_serve.controller import facts
from finsight_serve.controller.wire import intent_json, parse_intent
from finsight_serve.domain.migration import Migration, MigrationRules
from finsight_serve.stack.values import Tenant

from .worlds import stack

ACME = Tenant("acme", "chat", requests_per_s=2.5)
INTENTS: tuple[facts.Intent, ...] = (
    facts.StackAmended(stack(("chat", "one")), by="ann"),
    facts.StopAsked(frozenset({"one"})),
    facts.TenantAdded(ACME, "h1", by="ann"),
    facts.TenantChanged(ACME),
    facts.TenantRemoved("acme"),
    facts.FirstKeysIssued({"acme": "h1"}),
    facts.TenantKeyIssued("acme", "h1", 60.0),
    facts.TenantKeysRevoked("acme"),
    facts.MigrationsAsked((Migration("m1", "acme", {"chat": 90, "": 10}, "code", MigrationRules((5, 100))),)),
    facts.MigrationPaused("m1"),
    facts.MigrationResumed("m1"),
    facts.RollbackAsked("m1"),
)


def test_every_kind_of_intent_is_sent() -> None:
    assert {type(intent) for intent in INTENTS} == set(facts.Intent.__args__)


@pytest.mark.parametrize("intent", INTENTS, ids=lambda intent: type(intent).__name__)
def test_an_intent_arrives_as_what_it_was_sent(intent: facts.Intent) -> None:
    """Those with the same fields too: a revoked key is no removed tenant."""
    arrived = parse_intent(intent_json(intent))
    assert type(arrived) is type(intent) and arrived == intent


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"kind": "TimePassed", "fact": {}}', b'{"kind": "StopAsked"}'])
def test_what_is_no_intent(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_intent(body)

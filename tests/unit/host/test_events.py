from finsight_serve.domain import Event
from finsight_serve.host import Events, Host
from finsight_serve.plugin import Plan

from ..foreign import Foreign

HOOKS = """
from finsight_serve.plugin import hookimpl
seen = []

@hookimpl
def before_apply(backend, plan):
    {veto}

@hookimpl
def on_event(event):
    {react}
"""
EVENT = Event(0.0, "replica_evicted", "chat", "it failed")


def install(foreign: Foreign, name: str, *, veto: str = "pass", react: str = "pass") -> None:
    foreign.install_plugin("events", name, HOOKS.format(veto=veto, react=react))


def events(lines: list[str]) -> Events:
    return Host().events(lines.append)


def test_the_first_veto_counts(foreign: Foreign) -> None:
    install(foreign, "a-silent")
    install(foreign, "b-strict", veto="return f'not on {backend} at night'")
    install(foreign, "c-too", veto="return 'never'")
    lines: list[str] = []
    assert events(lines).before_apply("east", Plan(())) == "b-strict: not on east at night"
    assert lines == []


def test_no_veto(foreign: Foreign) -> None:
    install(foreign, "silent")
    assert events([]).before_apply("east", Plan(())) is None


def test_a_hook_that_raises_is_a_line_and_stops_no_other(foreign: Foreign) -> None:
    install(foreign, "a-broken", veto="1 / 0", react="1 / 0")
    install(foreign, "b-good", veto="return 'no'", react="seen.append(event.kind)")
    lines: list[str] = []
    found = events(lines)
    found.on_event(EVENT)
    assert found.before_apply("east", Plan(())) == "b-good: no"
    import foreign_events_b_good

    assert foreign_events_b_good.seen == ["replica_evicted"]
    assert [line.partition(" (")[0] for line in lines] == [
        "plugin a-broken: on_event raised ZeroDivisionError: division by zero",
        "plugin a-broken: before_apply raised ZeroDivisionError: division by zero",
    ]


def test_one_that_cannot_be_loaded_is_a_line(foreign: Foreign) -> None:
    foreign.install_plugin("events", "broken", "raise RuntimeError('no')")
    install(foreign, "good", veto="return 'no'")
    lines: list[str] = []
    assert events(lines).before_apply("east", Plan(())) == "good: no"
    assert len(lines) == 1 and lines[0].startswith("events broken (finsight-events-broken 1.0) can't be imported")


def test_plugins_of_other_kinds_are_not_imported(one_of_each: Foreign) -> None:
    events([]).on_event(EVENT)
    assert one_of_each.imported() == set()

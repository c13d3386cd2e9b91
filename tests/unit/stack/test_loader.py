# ruff: noqa: E501
# (a table of mistakes reads best with one to a line)
from pathlib import Path

import pytest

from finsight_serve.domain import AutoscalingPolicy
from finsight_serve.domain.breaker import BreakerRules
from finsight_serve.domain.health import HealthRules
from finsight_serve.host import Host
from finsight_serve.stack import Deployment, PluginRef, Stack, StackErrors, Tenant, load_stack

from ..foreign import Foreign
from .loading import SMALL, errors, load

FULL = """\
name: full
backend: east
backends:
  east: {orchestrator: acme, address: "10.0.0.1"}
  unused:
    orchestrator: acme
load_balancer: {plugin: acme, width: 2}
probe: acme
health: {period_s: 5, failures_before_eviction: 3, max_evicting_share: 0.5}
breaker: {window_s: 60, min_requests: 5, error_rate: 0.2, consecutive_failures: 3, ttft_p95_s: 2.5, open_s: 10, max_open_s: 60, half_open_percent: 5, half_open_requests: 4}
deployments:
  - name: chat
    model: m
    engine: acme
    engine_options: {mode: slow}
    policy: {min_replicas: 1, max_replicas: 4, target_ongoing_requests: 10, smoothing_factor: 0.5}
  - {name: code, model: n, backend: acme}
tenants:
  - {name: gold, deployment: code, max_ongoing_requests: 64, requests_per_s: 2.5, tokens_per_minute: 9000}
  - {name: free, deployment: chat}
"""


def test_what_is_left_out_has_defaults(one_of_each: Foreign) -> None:
    assert load(one_of_each, SMALL) == Stack(
        name="small",
        backends={"acme": PluginRef("acme")},
        load_balancer=PluginRef("acme"),
        probe=PluginRef("acme"),
        health=HealthRules(),
        deployments=(Deployment("chat", "m", PluginRef("acme"), "acme", AutoscalingPolicy()),),
        tenants=(Tenant("default", "chat"),),
    )


def test_everything_that_can_be_written(one_of_each: Foreign) -> None:
    stack = load(one_of_each, FULL)
    assert stack.backends == {"east": PluginRef("acme", {"address": "10.0.0.1"}), "acme": PluginRef("acme")}
    assert stack.load_balancer == PluginRef("acme", {"width": 2})
    assert stack.health == HealthRules(period_s=5, failures_before_eviction=3, max_evicting_share=0.5)
    assert stack.breaker == BreakerRules(
        window_s=60,
        min_requests=5,
        error_rate=0.2,
        consecutive_failures=3,
        ttft_p95_s=2.5,
        open_s=10,
        max_open_s=60,
        half_open_percent=5,
        half_open_requests=4,
    )
    chat, code = stack.deployments
    assert chat.engine == PluginRef("acme", {"mode": "slow"})
    assert chat.policy == AutoscalingPolicy(max_replicas=4, smoothing_factor=0.5)
    assert (chat.backend, code.backend) == ("east", "acme")
    assert stack.tenants == (Tenant("gold", "code", 64, 2.5, 9000), Tenant("free", "chat"))


def test_a_backend_may_bear_its_orchestrators_name(one_of_each: Foreign) -> None:
    stack = load(one_of_each, SMALL + "backend: acme\nbackends: {acme: {width: 7}}\n")
    assert stack.backends == {"acme": PluginRef("acme", {"width": 7})}


def test_backend_option_takes_the_place_of_the_files_default(one_of_each: Foreign) -> None:
    stack = load(one_of_each, FULL, backend="unused")
    assert [deployment.backend for deployment in stack.deployments] == ["unused", "acme"]


def test_overrides_are_values_like_any_other(one_of_each: Foreign) -> None:
    overrides = {"backends.east.address": "10.9.9.9", "deployments[0].policy.max_replicas": 2}
    stack = load(one_of_each, FULL, overrides=overrides)
    assert stack.backends["east"].options == {"address": "10.9.9.9"}
    assert stack.deployments[0].policy.max_replicas == 2


def test_overrides_that_do_not_fit(one_of_each: Foreign) -> None:
    assert errors(one_of_each, FULL, **{"deployments[7].model": "x"}) == [
        "deployments[7].model: there is no such place in the file"
    ]
    assert errors(one_of_each, FULL, **{"backends.east.width": 0}) == [
        "backends.east.width: must be greater than or equal to 1, found 0"
    ]


def test_anchors_and_merge_keys(one_of_each: Foreign) -> None:
    text = """\
name: merged
deployments:
  - &base {name: chat, model: m, policy: &p {max_replicas: 3}}
  - {<<: *base, name: code, policy: {<<: *p, min_replicas: 2}}
"""
    stack = load(one_of_each, text)
    assert [(d.name, d.model, d.policy.min_replicas, d.policy.max_replicas) for d in stack.deployments] == [
        ("chat", "m", 1, 3),
        ("code", "m", 2, 3),
    ]


def test_a_merged_mistake_is_shown(one_of_each: Foreign) -> None:
    text = "name: a\ndeployments:\n  - &x {name: chat, model: m, modell: n}\n  - {<<: *x, name: b}\n"
    assert errors(one_of_each, text) == [
        "fs.yaml:3: deployments[0].modell: unknown key; did you mean model?",
        "fs.yaml:3: deployments[1].modell: unknown key; did you mean model?",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "fs.yaml: is empty; `fs init` writes one that works"),
        ("# only a comment\n", "fs.yaml: is empty; `fs init` writes one that works"),
        ("just words", 'fs.yaml:1: must be a mapping, found "just words"'),
        ("- a\n- b", "fs.yaml:1: must be a mapping, found a list"),
        ("name: [a", "fs.yaml:1: not valid YAML: while parsing a flow sequence expected ',' or ']', but got '<stream end>'"),
        ("name: a\n\tb: c", "fs.yaml:2: not valid YAML: while scanning for the next token found character '\\t' that cannot start any token"),
        ("a: 1\n---\nb: 2", "fs.yaml:2: not valid YAML: expected a single document in the stream but found another document"),
        ("name: *nobody", "fs.yaml:1: not valid YAML: found undefined alias 'nobody'"),
        ("name: &x [*x]", "fs.yaml:1: name[0]: an alias here contains itself"),
        ("name: a\x00b", "fs.yaml: not valid YAML: unacceptable character #x0000: special characters are not allowed in"),
    ],
)  # fmt: skip
def test_not_a_mapping_at_all(one_of_each: Foreign, text: str, line: str) -> None:
    found = errors(one_of_each, text)
    assert len(found) == 1
    assert found[0].startswith(line)


def test_aliases_that_unfold_without_end_are_cut_short(one_of_each: Foreign) -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    assert "unfolds to more than 100,000 values" in errors(one_of_each, text)[0]


def test_files_that_cannot_be_read(one_of_each: Foreign, tmp_path: Path) -> None:
    def line(file: Path) -> str:
        with pytest.raises(StackErrors) as caught:
            load_stack(file, Host())
        return str(caught.value)

    assert line(tmp_path / "none.yaml") == f"{tmp_path}/none.yaml: no such file; `fs init` writes one"
    assert line(tmp_path) == f"{tmp_path}: can't be read: Is a directory"
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    assert line(tmp_path / "latin.yaml") == f"{tmp_path}/latin.yaml: is not text in UTF-8 (byte 9)"


def test_unreadable_file(one_of_each: Foreign, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")  # a chmod would not stop root

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StackErrors, match=r"fs\.yaml: can't be read: Permission denied$"):
        load_stack(tmp_path / "fs.yaml", Host())


def with_chat(lines: str) -> str:
    return SMALL + "".join(f"    {line}\n" for line in lines.splitlines())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SMALL + "nam: x", "fs.yaml:5: nam: unknown key; did you mean name?"),
        (SMALL + "colour: x", "fs.yaml:5: colour: unknown key; allowed: name, backend, backends, load_balancer, edge, probe, health, breaker, metrics, deployments, tenants"),
        (with_chat("policy:\n  max_replicas: 2\n  min_replica: 1"), "fs.yaml:7: deployments[0].policy.min_replica: unknown key; did you mean min_replicas?"),
        (with_chat("policy: {min_replicas: one}"), 'fs.yaml:5: deployments[0].policy.min_replicas: must be a whole number, found "one"'),
        (with_chat('policy: {max_replicas: "2"}'), 'fs.yaml:5: deployments[0].policy.max_replicas: must be a whole number, found "2"'),
        (with_chat("policy: {max_replicas: 2.5}"), "fs.yaml:5: deployments[0].policy.max_replicas: must be a whole number, found 2.5"),
        (with_chat("policy: {max_replicas: true}"), "fs.yaml:5: deployments[0].policy.max_replicas: must be a whole number, found true"),
        (with_chat("policy: {upscale_delay_s: .nan}"), "fs.yaml:5: deployments[0].policy.upscale_delay_s: must be a finite number, found .nan"),
        (with_chat("policy: {upscale_delay_s: -3}"), "fs.yaml:5: deployments[0].policy.upscale_delay_s: must be at least 0, found -3"),
        (with_chat("policy: {min_replicas: 3, max_replicas: 2}"), "fs.yaml:5: deployments[0].policy.max_replicas: must be at least min_replicas (3), found 2"),
        (with_chat("policy: {on_signal_loss: hald}"), 'fs.yaml:5: deployments[0].policy.on_signal_loss: must be hold, floor or a whole number, found "hald"; did you mean hold?'),
        (with_chat("policy: {on_signal_loss: 2}"), "fs.yaml:5: deployments[0].policy.on_signal_loss: must be from min_replicas (1) to max_replicas (1), found 2"),
        (with_chat("policy:\n  max_replicas: 4\n  schedule:\n    - cron: {start: 0 9 * * *, end: 0 16 * * *, timezone: UTC}\n      min_replicas: 5"), "fs.yaml:9: deployments[0].policy.schedule[0].min_replicas: must be at most max_replicas (4), found 5"),
        (with_chat("policy:\n  schedule:\n    - cron: {start: 0 9 * * *, end: 0 16 * * *, timezone: Mars}\n      min_replicas: 1"), "fs.yaml:7: deployments[0].policy.schedule[0].cron.timezone: no IANA time zone is named Mars"),
        (with_chat("policy:\n  schedule:\n    - weekly: {start: 9:00, end: 16:00, timezone: UTC}\n      min_replicas: 1"), "fs.yaml:7: deployments[0].policy.schedule[0].weekly.start: must be a time of day as 09:00 or 09:00:30, found 9:00"),
        (with_chat("policy:\n  schedule:\n    - weekly: {start: 09:00, timezone: UTC}\n      min_replicas: 1"), "fs.yaml:7: deployments[0].policy.schedule[0].weekly.end: is required, and missing"),
        (with_chat("policy:\n  schedule:\n    - weekly: {start: 09:00, end: 10:00, timezone: UTC, days: [mon, tu]}\n      min_replicas: 1"), "fs.yaml:7: deployments[0].policy.schedule[0].weekly.days[1]: must be 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun', found \"tu\"; did you mean tue?"),
        (with_chat("policy:\n  schedule:\n    - min_replicas: 1\n      lead_s: mesured\n      weekly: {start: 09:00, end: 10:00, timezone: UTC}"), 'fs.yaml:8: deployments[0].policy.schedule[0].lead_s: must be measured or a number, found "mesured"; did you mean measured?'),
        (with_chat("policy:\n  schedule:\n    - min_replicas: 1\n      lead_s: .inf\n      weekly: {start: 09:00, end: 10:00, timezone: UTC}"), "fs.yaml:8: deployments[0].policy.schedule[0].lead_s: must be a finite number, found .inf"),
        (with_chat("policy: {slo: {p99_wait_s: 0}}"), "fs.yaml:5: deployments[0].policy.slo.p99_wait_s: must be greater than 0, found 0"),
        (with_chat("policy: [1, 2]"), "fs.yaml:5: deployments[0].policy: must be a mapping, found a list of 2"),
        (with_chat("engine_options: 5"), "fs.yaml:5: deployments[0].engine_options: must be a mapping, found 5"),
        ("name: a\ndeployments: []", "fs.yaml:2: deployments: List must have at least 1 item, found an empty list"),
        ("name: a\ndeployments: chat", 'fs.yaml:2: deployments: must be a list, found "chat"'),
        ("name: a\ndeployments:", "fs.yaml:2: deployments: must be a list, found nothing"),
        ("name: a\ndeployments: [chat]", 'fs.yaml:2: deployments[0]: must be a mapping, found "chat"'),
        ("name: a", "fs.yaml:1: deployments: is required, and missing"),
        ("name: a\ndeployments:\n  - name: chat", "fs.yaml:3: deployments[0].model: is required, and missing"),
        ("name: a\ndeployments:\n  - name: chat\n    model: ''", 'fs.yaml:4: deployments[0].model: String must have at least 1 character, found ""'),
        (SMALL.replace("small", "My Stack"), 'fs.yaml:1: name: must be 1 to 40 of a-z, 0-9 and inner hyphens, found "My Stack"'),
        (SMALL.replace("small", "5"), "fs.yaml:1: name: must be text, found 5"),
        (SMALL.replace("chat", "a-"), 'fs.yaml:3: deployments[0].name: must be 1 to 40 of a-z, 0-9 and inner hyphens, found "a-"'),
        (SMALL.replace("chat", "a" * 41), f'fs.yaml:3: deployments[0].name: must be 1 to 40 of a-z, 0-9 and inner hyphens, found "{"a" * 41}"'),
        (SMALL + "name: again", "fs.yaml:5: name: this key stands here twice, first in line 1"),
        (with_chat("model: n"), "fs.yaml:5: deployments[0].model: this key stands here twice, first in line 4"),
        (SMALL + "5: x", "fs.yaml:5: a key must be text, found 5"),
        (SMALL + "backend: !secret x", "fs.yaml:5: backend: the tag !secret is not allowed"),
        (SMALL + "  - {name: chat, model: n}", "fs.yaml:5: deployments[1].name: two deployments are named chat, first in line 3"),
        (SMALL + "tenants: [{name: t, deployment: chat}, {name: t, deployment: chat}]", "fs.yaml:5: tenants[1].name: two tenants are named t, first in line 5"),
        (SMALL + "tenants:\n  - name: t\n    deployment: chap", "fs.yaml:7: tenants[0].deployment: no deployment is named chap; did you mean chat?"),
        (SMALL + "    max_ongoing_requests: -1\n", "fs.yaml:5: deployments[0].max_ongoing_requests: must be greater than or equal to 0, found -1"),
        (SMALL + "tenants: [{name: t, deployment: chat, max_ongoing_requests: 0}]", "fs.yaml:5: tenants[0].max_ongoing_requests: must be greater than or equal to 1, found 0"),
        (SMALL + "tenants: [{name: t, deployment: chat, requests_per_s: 0}]", "fs.yaml:5: tenants[0].requests_per_s: must be greater than 0, found 0"),
        (SMALL + "tenants: [{name: t, deployment: chat, requests_per_s: 1000001}]", "fs.yaml:5: tenants[0].requests_per_s: must be less than or equal to 1000000, found 1000001"),
        (SMALL + "tenants: [{name: t, deployment: chat, tokens_per_minute: 1000000000001}]", "fs.yaml:5: tenants[0].tokens_per_minute: must be less than or equal to 1000000000000, found 1000000000001"),
        (SMALL + "tenants: [{name: t, deployment: chat, requests_per_s: many}]", 'fs.yaml:5: tenants[0].requests_per_s: must be a number, found "many"'),
        (SMALL + "tenants: [{name: t, deployment: chat, tokens_per_minute: 0}]", "fs.yaml:5: tenants[0].tokens_per_minute: must be greater than or equal to 1, found 0"),
        (SMALL + "tenants: [{name: t, deployment: chat, tokens_per_minute: 1.5}]", "fs.yaml:5: tenants[0].tokens_per_minute: must be a whole number, found 1.5"),
        (SMALL + "tenants: [{name: t, deployment: chat, rps: 5}]", "fs.yaml:5: tenants[0].rps: unknown key; allowed: name, deployment, max_ongoing_requests, requests_per_s, tokens_per_minute"),
        (SMALL + "breaker: {window_s: 0}", "fs.yaml:5: breaker.window_s: must be greater than 0, found 0"),
        (SMALL + "breaker: {window_s: 7200}", "fs.yaml:5: breaker.window_s: must be at most 3600, found 7200"),
        (SMALL + "breaker: {min_requests: 0}", "fs.yaml:5: breaker.min_requests: must be at least 1, found 0"),
        (SMALL + "breaker: {min_requests: 2.5}", "fs.yaml:5: breaker.min_requests: must be a whole number, found 2.5"),
        (SMALL + "breaker: {error_rate: 0}", "fs.yaml:5: breaker.error_rate: must be greater than 0 and at most 1, found 0"),
        (SMALL + "breaker: {error_rate: 50}", "fs.yaml:5: breaker.error_rate: must be greater than 0 and at most 1, found 50"),
        (SMALL + "breaker: {error_rate: 50%}", 'fs.yaml:5: breaker.error_rate: must be a number, found "50%"'),
        (SMALL + "breaker: {consecutive_failures: 0}", "fs.yaml:5: breaker.consecutive_failures: must be at least 1, found 0"),
        (SMALL + "breaker: {ttft_p95_s: -1}", "fs.yaml:5: breaker.ttft_p95_s: must be greater than 0, found -1"),
        (SMALL + "breaker: {open_s: 0}", "fs.yaml:5: breaker.open_s: must be greater than 0, found 0"),
        (SMALL + "breaker: {max_open_s: 20}", "fs.yaml:5: breaker.max_open_s: must be at least open_s (30), found 20"),
        (SMALL + "breaker: {half_open_percent: 100}", "fs.yaml:5: breaker.half_open_percent: must be from 1 to 99, found 100"),
        (SMALL + "breaker: {half_open_requests: 0}", "fs.yaml:5: breaker.half_open_requests: must be at least 1, found 0"),
        (SMALL + "breaker: {open: 5}", "fs.yaml:5: breaker.open: unknown key; did you mean open_s?"),
        (SMALL + "health: {period_s: 0}", "fs.yaml:5: health.period_s: must be greater than 0, found 0"),
        (SMALL + "health: {failures_before_eviction: -1}", "fs.yaml:5: health.failures_before_eviction: must be at least 1, found -1"),
        (SMALL + "health: {max_evicting_share: 1.5}", "fs.yaml:5: health.max_evicting_share: must be greater than 0 and at most 1, found 1.5"),
        (SMALL + "backend: acne", "fs.yaml:5: backend: no backend named acne; configured or installed: acme; did you mean acme?"),
        (SMALL + "backend: east", "fs.yaml:5: backend: no backend named east; configured or installed: acme"),
        (SMALL + "backend: eastt\nbackends: {east: {orchestrator: acme}}", "fs.yaml:5: backend: no backend named eastt; configured or installed: acme, east; did you mean east?"),
        (with_chat("backend: acne"), "fs.yaml:5: deployments[0].backend: no backend named acne; configured or installed: acme; did you mean acme?"),
        (SMALL + "backends: {east: {}}", "fs.yaml:5: backends.east: no orchestrator named east is installed; installed: acme"),
        (SMALL + "backends:\n  east:\n    orchestrator: acne", "fs.yaml:7: backends.east.orchestrator: no orchestrator named acne is installed; installed: acme; did you mean acme?"),
        (SMALL + "backends:\n  east:\n    orchestrator: acme\n    adress: x", "fs.yaml:8: backends.east.adress: unknown key; did you mean address?"),
        (SMALL + "backends: {east: {orchestrator: acme, zip: x}}", "fs.yaml:5: backends.east.zip: unknown key; allowed: orchestrator, address, width, mode, token"),
        (SMALL + "backends: [acme]", "fs.yaml:5: backends: must be a mapping, found a list of 1"),
        (with_chat("engine: acne"), "fs.yaml:5: deployments[0].engine: no engine named acne is installed; installed: acme; did you mean acme?"),
        (with_chat("engine_options:\n  width: -1"), "fs.yaml:6: deployments[0].engine_options.width: must be greater than or equal to 1, found -1"),
        (with_chat("engine_options:\n  width: x"), 'fs.yaml:6: deployments[0].engine_options.width: must be a whole number, found "x"'),
        (with_chat("engine_options:\n  token: [hush]"), "fs.yaml:6: deployments[0].engine_options.token: must be text, found something else (not shown: it is a secret)"),
        (SMALL + "load_balancer: acne", "fs.yaml:5: load_balancer: no load balancer named acne is installed; installed: acme; did you mean acme?"),
        (SMALL + "load_balancer:\n  plugin: acme\n  mode: medium", 'fs.yaml:7: load_balancer.mode: String must match pattern \'fast|slow\', found "medium"'),
        (SMALL + "load_balancer: {width: 2}", "fs.yaml:5: load_balancer.plugin: is required, and missing"),
        (SMALL + "probe:\n  plugin: acne", "fs.yaml:6: probe.plugin: no health probe named acne is installed; installed: acme; did you mean acme?"),
        (SMALL + "probe: 5", "fs.yaml:5: probe: must be a mapping, found 5"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_line(one_of_each: Foreign, text: str, expected: str) -> None:
    assert errors(one_of_each, text) == [expected]


def test_all_mistakes_are_told_at_once_in_the_order_of_lines(one_of_each: Foreign) -> None:
    text = """\
nam: a
deployments:
  - name: chat
    model: 5
    engine: acne
    policy: {max_replicas: -1}
  - {name: chat, model: m, engine_options: {width: 0}}
tenants:
  - {name: t, deployment: nobody}
"""
    assert [line.split(": ")[0] + " " + line.split(": ")[1] for line in errors(one_of_each, text, backend="acne")] == [
        "--backend no backend named acne; configured or installed",
        "fs.yaml:1 name",
        "fs.yaml:1 nam",
        "fs.yaml:4 deployments[0].model",
        "fs.yaml:5 deployments[0].engine",
        "fs.yaml:6 deployments[0].policy.max_replicas",
        "fs.yaml:7 deployments[1].name",
        "fs.yaml:7 deployments[1].engine_options.width",
        "fs.yaml:9 tenants[0].deployment",
    ]


def test_several_installed_and_none_named(one_of_each: Foreign) -> None:
    one_of_each.install_plugin("engine", "zeta")
    one_of_each.install_plugin("orchestrator", "zeta")
    assert errors(one_of_each, SMALL) == [
        "fs.yaml:1: backend: say which orchestrator: several are installed (acme, zeta)",
        "fs.yaml:3: deployments[0].engine: say which engine: several are installed (acme, zeta)",
    ]


def test_none_installed(foreign: Foreign) -> None:
    assert errors(foreign, SMALL)[0] == (
        "fs.yaml:1: load_balancer: no load balancer is installed; `fs plugins list` shows what is"
    )


def test_a_broken_plugin_is_a_line_where_it_is_named(one_of_each: Foreign) -> None:
    one_of_each.install_plugin("orchestrator", "broken", "raise RuntimeError('no luck')")
    found = errors(one_of_each, SMALL + "backend: broken")
    assert len(found) == 1
    assert found[0].startswith(
        "fs.yaml:5: backend: orchestrator broken (finsight-orchestrator-broken 1.0) can't be imported: RuntimeError: no luck ("
    )


def test_an_incompatible_plugin_is_told_as_such(one_of_each: Foreign) -> None:
    one_of_each.install("old", {"orchestrator": {"old": "json"}}, {}, requires=["finsight-serve<0.1"])
    assert errors(one_of_each, SMALL, backend="old")[0].startswith(
        "--backend: orchestrator old (old) is incompatible: needs finsight-serve<0.1"
    )


def test_problems_say_where_they_are(one_of_each: Foreign) -> None:
    with pytest.raises(StackErrors) as caught:
        load(one_of_each, with_chat("policy:\n  min_replica: 1"))
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.field) == (6, 7, "deployments[0].policy.min_replica")


def test_what_only_a_calendar_knows_is_told_at_its_line_beside_other_mistakes(one_of_each: Foreign) -> None:
    text = (
        with_chat("policy:\n  schedule:\n    - name: a\n      min_replicas: 1\n      calendar: {exchange: XNYX}")
        + "nam: x\n"
    )
    calendar, name = errors(one_of_each, text)
    assert (
        calendar.startswith("fs.yaml:9: deployments[0].policy.schedule[0].calendar.exchange: ") and "XNYX" in calendar
    )
    assert name == "fs.yaml:10: nam: unknown key; did you mean name?"

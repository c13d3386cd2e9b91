"""What can't be migrated: one line that says what and what to do, exit code 2, and nothing has changed."""

import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from finsight_serve.cli.stored import stored_state
from finsight_serve.controller.state import Durable

from .stand import MODEL, Stand

TENANTS = [{"name": "acme", "deployment": "chat"}, {"name": "beta", "deployment": "chat"}]


def deployment(name: str, model: str = MODEL, backend: str = "local") -> dict[str, object]:
    policy = {"min_replicas": 1, "max_replicas": 2}
    return {"name": name, "model": model, "engine": "sim", "backend": backend, "policy": policy}


@pytest.fixture(scope="module")
def two() -> Iterator[Stand]:
    """Serves one model by two deployments, each on a backend of its own, and another model by a third."""
    with closing(Stand("two")) as stand:
        stand.write(
            backends={"there": {"orchestrator": "local"}, "far": {"orchestrator": "local"}},
            deployments=[
                deployment("chat"),
                deployment("chat-there", backend="there"),
                deployment("other", "other-model", backend="far"),
            ],
            tenants=TENANTS,
        )
        stand.serve()
        yield stand


def durable(stand: Stand) -> Durable:
    return stored_state(stand.state).durable


def refused(stand: Stand, *argv: str) -> list[str]:
    """The lines on stderr; and nothing was said elsewhere or stored."""
    before = durable(stand)
    done = stand.fs("migrate", *argv)
    assert (done.returncode, done.stdout) == (2, ""), (argv, done.stdout, done.stderr)
    assert durable(stand).migrations == before.migrations == {}
    assert durable(stand).assignments == before.assignments == {}
    assert durable(stand).route_version == before.route_version
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()


@pytest.mark.alike(4)
@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["acne", "--to", "there"], "fs: tenant acne: not in this stack; it has acme, beta; did you mean acme?"),
        (["acme", "acme", "--to", "there"], "fs: tenant acme: named 2 times; once is enough"),
        (["acme", "--to", "chat"], "fs: tenant acme: all its requests go to chat already"),
        (["acme", "--to", "local"], "fs: tenant acme: all its requests go to chat already"),
        (
            ["acme", "--to", "chat-their"],
            "fs: --to chat-their: no deployment or backend; deployments chat, chat-there, other; "
            "backends far, local, there; did you mean chat-there?",
        ),
        (
            ["acme", "--to", "far"],
            "fs: --to far: no deployment on backend far serves sim-model; add one to fs.yaml: "
            "`- {name: chat-far, model: sim-model, engine: sim, backend: far}` and run `fs serve`",
        ),
        (
            ["acme", "--to", "other"],
            "fs: tenant acme: its clients ask for sim-model, and other serves other-model: they would get 404; "
            "choose a deployment whose `model` is served as sim-model",
        ),
        (
            ["acme", "--to", "there", "--steps", "10,1,100"],
            "fs: --steps: must rise, as 1,10,50,100, found 10,1,100",
        ),
        (
            ["acme", "--to", "there", "--steps", "10,50"],
            "fs: --steps: must end at 100, as 1,10,50,100, found 10,50",
        ),
        (
            ["acme", "--to", "there", "--steps", "0,100"],
            "fs: --steps: must be percentages from 1 to 100, as 1,10,50,100, found 0,100",
        ),
        (["--from", "chad", "--to", "there"], "fs: deployment chad: not in this stack; it has chat, chat-there, other"
         "; did you mean chat?"),
        (["--from", "other", "--to", "there"], "fs: deployment other: no tenant is there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_what_can_not_be_migrated(two: Stand, argv: list[str], line: str) -> None:
    assert refused(two, *argv, "--yes") == [line]


def test_limits_that_do_not_parse(two: Stand) -> None:
    for limit, why in (
        ("error_rat<=1%", "did you mean error_rate?"),
        ("ttft_p95<=fast", "fast is no"),
        ("", "no limit"),
    ):
        (line,) = refused(two, "acme", "--to", "there", "--limit", limit, "--yes")
        assert line.startswith(f"fs: --limit: {limit!r}") and why in line


def test_each_mistake_has_its_line(two: Stand) -> None:
    assert len(refused(two, "acne", "bet", "--to", "there", "--yes")) == 2


def test_options_that_do_not_parse(two: Stand) -> None:
    for option, text in (("--hold", "soon"), ("--steps", "one,all"), ("--shadow", "101%"), ("--wave", "0")):
        first, hint = refused(two, "acme", "--to", "there", option, text)
        assert f"'{option}'" in first and text in first and hint == "fs: try: fs migrate start --help"


def test_nobody_to_ask(two: Stand) -> None:
    before = durable(two)
    done = two.fs("migrate", "acme", "--to", "there")
    assert done.returncode == 2 and "migrations" in done.stdout  # the plan, which nobody agreed to
    assert done.stderr == "fs: nobody can be asked here: `fs migrate acme --to there --yes` begins without a question\n"
    assert durable(two) == before


def test_a_dry_run_shows_the_plan_and_changes_nothing(two: Stand) -> None:
    before = durable(two)
    done = two.fs("migrate", "acme", "beta", "--to", "there", "--wave", "1", "--dry-run", "-o", "json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert [(row["from"], row["to"], row["wave"]) for row in plan["migrations"]] == [
        ({"chat": 100}, "chat-there", 1),
        ({"chat": 100}, "chat-there", 2),
    ]
    assert plan["rules"]["limits"] == ["error_rate<=0.1%", "ttft_p95<=1.5x"]
    assert plan["destinations"][0]["replicas_then"] == 1 and "no request in the last hour" in plan["warnings"][0]
    assert durable(two) == before


def test_what_was_never_migrated(two: Stand) -> None:
    for verb in ("status", "explain", "pause", "resume", "rollback"):
        options = ["--yes"] if verb == "rollback" else []
        assert refused(two, verb, "acme", *options) == ["fs: tenant acme: was never migrated"]
        (line,) = refused(two, verb, "M99", *options)
        assert line == "fs: no migration has the id M99, and no tenant is named so; `fs migrate list` shows them"


def test_no_controller(stand: Stand) -> None:
    stand.write(deployments=[deployment("chat"), deployment("new")], tenants=TENANTS)
    done = stand.fs("migrate", "acme", "--to", "new", "--yes")
    assert done.returncode == 2 and "fs serve" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not stand.state.exists()
    stand.serve()
    stand.serving.process.terminate()
    stand.serving.wait_ended()
    before = durable(stand)
    done = stand.fs("migrate", "acme", "--to", "new", "--yes")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"fs: {stand.state}: no controller runs here; `fs serve` starts one\n"
    assert durable(stand) == before

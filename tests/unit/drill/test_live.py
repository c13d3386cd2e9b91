"""What a service with tenants is refused as, before anything is added to it."""

from dataclasses import replace
from pathlib import Path

import pytest

from finsight_serve.drill import folder
from finsight_serve.drill.live import LiveService
from finsight_serve.errors import UserError
from finsight_serve.host import Host
from finsight_serve.stack.values import MetricsEndpoint, Stack

from ..controller.worlds import stack

ON_ONE = stack(("chat", "one"))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (ON_ONE, "fs.yaml: metrics: listen is not set, and a drill waits for the alerts that come by it"),
        (
            replace(ON_ONE, metrics=MetricsEndpoint("127.0.0.1:1")),
            "test: no controller runs, and a drill begins where all is well; `fs serve --detach`",
        ),
    ],
    ids=["no metrics", "no controller"],
)
def test_refused(asked: Stack, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise AssertionError("a folder was made")

    monkeypatch.setattr(folder, "make", fail)
    with pytest.raises(UserError) as refusal:
        LiveService.of(asked, {"chat": "m"}, Path("fs.yaml"), tmp_path, Host())
    assert str(refusal.value) == why

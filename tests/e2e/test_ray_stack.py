"""The commands, and what reaches a disk, where Ray runs the replicas. (What it survives is in the fault suite.)"""

import json
import signal

from .bundles import bundle, parsed
from .canary import CANARY, files_with, send_canaries
from .stand import Stand
from .waiting import wait_until


def test_a_canary_is_found_nowhere(on_ray: Stand) -> None:
    send_canaries(on_ray)
    assert list(files_with(on_ray.folder, CANARY)) == []


def test_logs_show_rays_own(on_ray: Stand) -> None:
    done = on_ray.fs("logs", "ray", "--lines", "1")
    assert done.returncode == 0
    assert "backends/ray/" in done.stdout


def test_plan_of_what_runs_keeps_everything(on_ray: Stand) -> None:
    plan = json.loads(on_ray.fs("plan", "-o", "json").stdout)
    assert {change["action"] for change in plan["changes"]} == {"keep"}, plan["diff"]


def test_status_and_doctor_find_nothing_wrong(on_ray: Stand) -> None:
    assert {row["state"] for row in on_ray.status()["backends"]} == {"ok"}
    done = on_ray.fs("doctor", "-o", "json")
    assert [row for row in json.loads(done.stdout) if row["state"] != "ok"] == []


def test_its_logs_are_in_the_support_bundle_and_its_token_is_not(on_ray: Stand) -> None:
    (token_file,) = on_ray.state.rglob("auth_token")
    token, replica_key = token_file.read_text().strip(), on_ray.replica_key()
    files, _ = bundle(on_ray)
    assert parsed(files, "backend-ray/observed.json")["replicas"]
    session = "logs/backends/ray/logs/ray/"
    assert {f"{session}raylet.log", "logs/backends/ray/logs/supervisor.log"} & files.keys(), sorted(files)
    for secret in (token, replica_key, *on_ray.keys.values()):
        assert [name for name, data in files.items() if secret.encode() in data] == []


def test_ctrl_c_lets_open_streams_end_and_leaves_nothing(on_ray: Stand) -> None:
    """The last one here: it ends the stand."""
    on_ray.family.members()
    with on_ray.load(workers=4, tokens=60, rounds=1) as load:
        wait_until(lambda: load.streaming == 4, 60, "four streams have begun")
        on_ray.serving.process.send_signal(signal.SIGINT)
        load.join()
    assert [answer.why for answer in load.not_whole()] == []
    assert on_ray.serving.wait_ended() == 0, on_ray.serving.output
    on_ray.assert_nothing_runs()

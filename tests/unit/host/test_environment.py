from pathlib import Path

import pytest

from finsight_serve.host import env_for


def test_the_folder_is_the_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "east"
    env = env_for(folder, owner="me", progress=print)
    assert (env.state_dir, env.owner) == (folder, "me")
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    env_for(folder, owner="me", progress=print)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_file_in_the_way_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        env_for(tmp_path / "file" / "east", owner="me", progress=print)


@pytest.mark.anyio
async def test_http_clients_are_new_and_pass_the_proxy_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    env = env_for(tmp_path, owner="me", progress=print)
    async with env.http() as one, env.http() as two:
        assert one is not two
        assert not one.trust_env

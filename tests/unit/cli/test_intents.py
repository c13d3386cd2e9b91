import getpass

import pytest

from finsight_serve.cli.intents import who


def test_who_is_the_person_also_behind_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setenv("LOGNAME", "ann")
    assert who() == "ann"
    monkeypatch.setenv("SUDO_USER", "bob")
    assert who() == "bob"


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)

    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert who().startswith("uid ")

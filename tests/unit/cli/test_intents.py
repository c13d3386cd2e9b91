import getpass
import threading

import pytest

from finsight_serve.cli.intents import say_if_slow, who


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


def test_who_waits_is_told_so_and_who_does_not_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    said = threading.Event()
    monkeypatch.setattr("click.echo", lambda line, err: said.set() if err else None)
    with say_if_slow(after_s=0.01):
        assert said.wait(10)
    said.clear()
    with say_if_slow(after_s=0.3):
        pass
    assert not said.wait(0.6)  # longer than it would have taken

import click
import pytest

from finsight_serve.cli.backend_flags import parse_backend_flags

NAMES = ["east", "east-2"]


def test_flags_become_options_of_their_backend() -> None:
    flags = ["--east-address", "http://127.0.0.1:1", "--east-2-num-cpus=8"]
    assert parse_backend_flags(flags, NAMES) == {
        "backends.east.address": "http://127.0.0.1:1",
        "backends.east-2.num_cpus": 8,
    }


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--wset-address", "x"], "no such option: --wset-address"),
        (["stray"], "no such option: stray"),
        (["--east-address"], "option --east-address needs a value"),
    ],
)
def test_what_is_no_backends_option_is_refused(flags: list[str], message: str) -> None:
    with pytest.raises(click.UsageError, match=message):
        parse_backend_flags(flags, NAMES)

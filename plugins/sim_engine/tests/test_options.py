import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from finsight_serve_sim.options import Faults, Options, format_argv, parse_argv
from finsight_serve_sim.sim_engine import SimEngine

OPTIONS = st.builds(
    Options,
    ttft_s=st.floats(0, 100),
    output_tokens=st.integers(1, 10**6),
    fail_load=st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    error_rate=st.floats(0, 1),
    hang=st.booleans(),
    truncate_after_tokens=st.none() | st.integers(0, 100),
    truncation=st.sampled_from(["broken", "silent"]),
    served_model_name=st.none() | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]*", fullmatch=True),
)


@settings(deadline=None)  # the machine may be busy
@given(OPTIONS)
def test_the_command_line_says_the_same_as_the_options(options):
    assert parse_argv(format_argv("some model", options)) == ("some model", options)


def test_defaults_need_no_arguments():
    assert format_argv("m", Options()) == ("--model", "m")


def test_flags_for_people():
    assert parse_argv(["--hang"]) == ("sim", Options(hang=True))


@pytest.mark.parametrize(
    "bad", [{"ttft_s": -1}, {"error_rate": 2}, {"max_num_seqs": 0}, {"ttft": 1}, {"served_model_name": "-x"}]
)
def test_nonsense_is_refused(bad):
    with pytest.raises(ValidationError):
        Options.model_validate(bad)


def test_every_option_says_what_it_is():
    assert all(field.description for field in Options.model_fields.values())
    assert Faults.model_fields.keys() < Options.model_fields.keys()


def test_launch_is_the_same_server_in_a_process_and_in_a_host():
    launch = SimEngine(Options(ttft_s=0.5), env=None).launch("sim")
    assert launch.argv[-len(launch.asgi_argv) :] == launch.asgi_argv
    assert "{host}" in launch.argv
    assert "{port}" in launch.argv
    assert parse_argv(launch.asgi_argv) == ("sim", Options(ttft_s=0.5))


def test_the_served_name_is_the_models_unless_another_was_given():
    assert SimEngine(Options(), env=None).served_model("sim") == "sim"
    engine = SimEngine(Options(served_model_name="chat"), env=None)
    assert engine.served_model("sim") == "chat"
    assert engine.launch("sim").asgi_argv == ("--model", "sim", "--served-model-name=chat")

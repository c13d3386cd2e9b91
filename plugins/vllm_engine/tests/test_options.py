import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from finsight_serve_vllm.options import CPU_DEFAULTS, RESERVED, Options, format_argv


@pytest.mark.parametrize(
    ("options", "argv"),
    [
        ({"max_model_len": 2048}, ("--max-model-len=2048",)),
        ({"gpu_memory_utilization": 0.3}, ("--gpu-memory-utilization=0.3",)),
        ({"enforce_eager": True, "async_scheduling": False}, ("--enforce-eager", "--no-async-scheduling")),
        ({"chat_template": None}, ()),
        ({"chat_template": "-x y"}, ("--chat-template=-x y",)),
        ({"allowed_origins": ["a", 1]}, ("--allowed-origins", "a", "1")),
        ({"hf_overrides": {"a": [1, True]}}, ('--hf-overrides={"a": [1, true]}',)),
        ({"hf_overrides.rope_theta": 1e4}, ("--hf-overrides.rope_theta=10000.0",)),
    ],
)
def test_options_become_vllms_arguments(options, argv):
    assert format_argv(options) == argv


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("spelling", [str, lambda name: name.replace("_", "-")])
def test_a_reserved_option_is_refused_at_its_name_with_the_reason(name, spelling):
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({spelling(name): "x", "max_model_len": 1})
    (error,) = caught.value.errors()
    assert error["loc"] == (spelling(name),)
    assert RESERVED[name] in error["msg"]


@settings(deadline=None)  # the machine may be busy
@given(st.dictionaries(st.sampled_from([*CPU_DEFAULTS, "seed", "max_num_seqs"]), st.integers(0, 9)))
def test_what_the_user_wrote_wins_over_the_defaults(given):
    options = Options.model_validate({name.replace("_", "-"): value for name, value in given.items()})
    assert options.arguments(CPU_DEFAULTS) == {**CPU_DEFAULTS, **given}


def test_an_option_of_our_own_is_no_argument():
    assert format_argv(Options(num_cpus=4).arguments({})) == ()


@pytest.mark.parametrize("name", ["", "-x", "two words", 3, ["a", "b"]])
def test_a_served_name_that_no_client_could_ask_for_is_refused(name):
    with pytest.raises(ValidationError) as caught:
        Options.model_validate({"served_model_name": name})
    assert caught.value.errors()[0]["loc"] == ("served_model_name",)

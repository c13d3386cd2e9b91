import pytest
from pydantic import ValidationError

from finsight_serve.plugin import KEY_HASHES_ENV
from finsight_serve_k8s_keda.options import Options


def test_an_address_loses_its_last_slash() -> None:
    assert Options(prometheus="https://prom.example/api-root/").prometheus == "https://prom.example/api-root"


def test_sizes_get_the_spelling_that_the_api_server_gives_back() -> None:
    assert Options(memory="2048Mi").memory == "2Gi"


@pytest.mark.parametrize("share", [0, 3, "0%", "50%", "100%"])
def test_a_share_is_a_count_or_a_percentage(share: int | str) -> None:
    assert Options(min_available=share).min_available == share


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"prometheus": "prom:9090"}, "must be a URL"),
        ({"prometheus": "http://user:secret@prom"}, "must be a URL"),
        ({"prometheus": "http://prom/?q=1"}, "must be a URL"),
        ({"namespace": "Not_A_Name"}, "namespace"),
        ({"namespace": ""}, "namespace"),
        ({"scrape_interval_s": 0}, "scrape_interval_s"),
        ({"no_such_option": 1}, "no_such_option"),
        ({"image": ""}, "image"),
        ({"memory": "16GB"}, "'16GB' is no size"),
        ({"cpu_limit": 0}, "cpu_limit"),
        ({"port": 80}, "port"),
        ({"run_as_user": 0}, "run_as_user"),
        ({"min_available": "150%"}, "min_available"),
        ({"min_available": -1}, "min_available"),
        ({"min_available": True}, "min_available"),
        ({"max_surge": 0}, "must be more than 0"),
        ({"max_surge": "0%"}, "must be more than 0"),
        ({"env": {"NOT-A-NAME": "1"}}, "'NOT-A-NAME' is no name of a variable"),
        ({"env": {KEY_HASHES_ENV: ""}}, "is not set here: it says who may ask a replica"),
        ({"allow_from": ["10.0.0.1/8"]}, "is neither a CIDR"),
        ({"allow_from": ["Not_A_Name"]}, "nor the name of a namespace"),
        ({"volumes": [{"mount_path": "/a"}]}, "must name one of host_path"),
        ({"volumes": [{"mount_path": "/a", "claim": "c", "secret": "s"}]}, "must name one of host_path"),
        ({"volumes": [{"mount_path": "a", "claim": "c"}]}, "mount_path"),
        ({"volumes": [{"mount_path": "/a", "empty_dir": "big"}]}, "'big' is no size"),
        ({"volumes": [{"mount_path": "/a", "claim": "c"}, {"mount_path": "/a", "secret": "s"}]}, "/a is mounted twice"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Options.model_validate(wrong)

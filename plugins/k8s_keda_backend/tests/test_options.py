import pytest
from pydantic import ValidationError

from finsight_serve_k8s_keda.options import Options


def test_an_address_loses_its_last_slash() -> None:
    assert Options(prometheus="https://prom.example/api-root/").prometheus == "https://prom.example/api-root"


@pytest.mark.parametrize(
    "wrong",
    [
        {"prometheus": "prom:9090"},
        {"prometheus": "http://user:secret@prom"},
        {"prometheus": "http://prom/?q=1"},
        {"namespace": "Not_A_Name"},
        {"namespace": ""},
        {"scrape_interval_s": 0},
        {"no_such_option": 1},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(wrong)

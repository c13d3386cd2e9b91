from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finsight_serve_k8s_keda.quantity import canonical_bytes, canonical_cpus

UNITS = {"": 1} | {
    suffix: base**power
    for base, suffixes in ((1000, ["k", "M", "G", "T", "P", "E"]), (1024, ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]))
    for power, suffix in enumerate(suffixes, 1)
}


def size(text: str) -> Fraction:
    suffix = text.lstrip("0123456789.")
    return Fraction(text.removesuffix(suffix)) * UNITS[suffix]


@pytest.mark.parametrize(
    ("written", "read_back"),
    [
        ("16Gi", "16Gi"),
        ("1024Mi", "1Gi"),
        ("0.5Gi", "512Mi"),
        ("1536Mi", "1536Mi"),
        ("16000M", "16G"),
        ("1000", "1k"),
        ("1500Ki", "1500Ki"),
        ("1.50G", "1500M"),
    ],
)
def test_bytes_are_spelt_as_the_api_server_spells_them(written: str, read_back: str) -> None:
    assert canonical_bytes(written) == read_back


@given(number=st.integers(1, 10**6), suffix=st.sampled_from(sorted(UNITS)))
def test_a_size_keeps_its_value_and_one_spelling(number: int, suffix: str) -> None:
    found = canonical_bytes(f"{number}{suffix}")
    assert size(found) == size(f"{number}{suffix}")
    assert canonical_bytes(found) == found
    assert suffix.endswith("i") or not found.endswith("i")


@pytest.mark.parametrize("wrong", ["", "0", "0Gi", "16GB", "16 Gi", "-1Gi", "1e3", "0.1", "1.0001Ki", "Gi", "500m"])
def test_what_is_no_size_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        canonical_bytes(wrong)


@pytest.mark.parametrize(
    ("cpus", "text"), [(1.0, "1"), (0.1, "100m"), (1.5, "1500m"), (2000.0, "2k"), (0.0001, "1m"), (0.3, "300m")]
)
def test_cpus(cpus: float, text: str) -> None:
    assert canonical_cpus(cpus) == text

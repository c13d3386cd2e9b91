import pytest

from finsight_serve import __version__
from finsight_serve.host import Host, Installed

from ..foreign import Foreign

BROKEN = "raise RuntimeError('imported')"


def states(host: Host) -> dict[str, str]:
    return {row.name: row.state for row in host.installed()}


def test_lists_every_kind_in_order_and_imports_nothing(foreign: Foreign) -> None:
    foreign.install_plugin("engine", "wheel", BROKEN)
    foreign.install_plugin("orchestrator", "zeta", BROKEN)
    foreign.install_plugin("orchestrator", "alpha", BROKEN)
    rows = Host().installed()
    assert [(row.kind, row.name) for row in rows] == [
        ("orchestrator", "alpha"),
        ("orchestrator", "zeta"),
        ("engine", "wheel"),
    ]
    assert rows[0] == Installed("orchestrator", "alpha", "finsight-orchestrator-alpha", "1.0", "installed")
    assert foreign.imported() == set()


@pytest.mark.parametrize(
    ("requirement", "state"),
    [
        ("finsight-serve<0.1", f"incompatible: needs finsight-serve<0.1, this is {__version__}"),
        ("Finsight_Serve>=9", f"incompatible: needs finsight-serve>=9, this is {__version__}"),
        ("finsight-serve>=0.1,<0.2", "installed"),
        ("finsight-serve[ray]", "installed"),
        ("finsight-serve>=9; python_version < '3'", "installed"),
        ("finsight-serve>=9; extra == 'new'", "installed"),
        ("finsight-serve-other>=9", "installed"),
        ("finsight-serve ~~ what", "incompatible: its requirement 'finsight-serve ~~ what' can't be read"),
    ],
)
def test_requirement_on_the_core(foreign: Foreign, requirement: str, state: str) -> None:
    foreign.install("acme", {"engine": {"acme": "acme_engine"}}, {"acme_engine": BROKEN}, requires=["six", requirement])
    assert states(Host()) == {"acme": state}


def test_missing_module_is_found_without_importing(foreign: Foreign) -> None:
    foreign.install("acme", {"engine": {"acme": "acme_engine.inner:thing"}}, {})
    assert states(Host()) == {"acme": "missing: module acme_engine not found"}


def test_two_distributions_with_one_name_are_ambiguous(foreign: Foreign) -> None:
    foreign.install("one", {"engine": {"acme": "acme_one"}}, {"acme_one": BROKEN})
    foreign.install("two", {"engine": {"acme": "acme_two"}, "orchestrator": {"acme": "acme_two"}}, {"acme_two": BROKEN})
    rows = Host().installed()
    assert [row.state for row in rows if row.kind == "engine"] == [
        "ambiguous: one and two both bring it; uninstall one"
    ] * 2
    assert [row.state for row in rows if row.kind == "orchestrator"] == ["installed"]


def test_only_usable_ones_have_names_to_choose_from(foreign: Foreign) -> None:
    foreign.install_plugin("engine", "good")
    foreign.install("acme", {"engine": {"gone": "nowhere"}}, {})
    assert Host().names("engine") == ("good",)


def test_other_entry_points_are_none_of_ours(foreign: Foreign) -> None:
    foreign.install("acme", {}, {})
    info = foreign.folder / "acme-1.0.dist-info" / "entry_points.txt"
    info.write_text("[console_scripts]\nacme = acme:main\n[finsight_serve.unheard_of]\nx = y\n")
    assert Host().installed() == ()

"""Where the credentials are looked for, as kubectl does."""

import os

import pytest

from finsight_serve_k8s_keda.access import Identity, kubeconfig, why_none
from finsight_serve_k8s_keda.options import Access


def test_the_option_goes_before_the_environment_and_that_before_the_home(tmp_path):
    for name in ("option", "one", "two", ".kube/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    environ = {
        "HOME": str(tmp_path),
        "KUBECONFIG": f"{tmp_path}/one{os.pathsep}{tmp_path}/no{os.pathsep}{tmp_path}/two",
    }
    assert kubeconfig(Access(kubeconfig=tmp_path / "option"), environ) == f"{tmp_path}/option"
    assert kubeconfig(Access(), environ) == f"{tmp_path}/one{os.pathsep}{tmp_path}/two"
    assert kubeconfig(Access(), {"HOME": str(tmp_path)}) == f"{tmp_path}/.kube/config"


@pytest.mark.parametrize(
    ("options", "environ", "why"),
    [
        ({"kubeconfig": "/no/such"}, {}, "there is no kubeconfig /no/such"),
        ({}, {"KUBECONFIG": "/no/such"}, "$KUBECONFIG names /no/such, which isn't there"),
        ({}, {"HOME": "/no"}, "~/.kube/config isn't there, and this is not a pod"),
    ],
)
def test_where_there_is_none_it_says_where_it_looked(options, environ, why):
    access = Access.model_validate(options)
    assert kubeconfig(access, environ) == ""
    assert why in why_none(access, environ)


def test_an_identity_says_whose_credentials_they_are():
    assert Identity("s", "f", "c", "u").who == "user 'u' of f"
    assert Identity("s", "f", "c").who == "nobody (context 'c' of f names no user)"
    assert Identity("s", "").who == "the pod's service account"

"""fs.yaml and Python policies → validated `Stack`: the one loader that every command shares."""

from .checks import check_stack
from .loader import load_stack
from .policies import load_policy, read_policy
from .problem import StackErrors, StackProblem
from .python_policies import PolicyError
from .schema import schema
from .template import template
from .values import Deployment, PluginRef, Stack, Tenant

__all__ = [
    "Deployment",
    "PluginRef",
    "PolicyError",
    "Stack",
    "StackErrors",
    "StackProblem",
    "Tenant",
    "check_stack",
    "load_policy",
    "load_stack",
    "read_policy",
    "schema",
    "template",
]

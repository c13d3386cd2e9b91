"""fs.yaml → validated `Stack`: the one loader that validate, schema, plan and serve share."""

from .checks import check_stack
from .loader import load_stack
from .problem import StackErrors, StackProblem
from .schema import schema
from .template import template
from .values import Deployment, PluginRef, Stack, Tenant

__all__ = [
    "Deployment",
    "PluginRef",
    "Stack",
    "StackErrors",
    "StackProblem",
    "Tenant",
    "check_stack",
    "load_stack",
    "schema",
    "template",
]

"""`fs policy`: what an autoscaling policy says, means on a backend, and should say."""

from collections.abc import Mapping

import click

from .main import LazyGroup

POLICY_COMMANDS: Mapping[str, str] = {  # as COMMANDS: in the modules policy_explain, …
    "explain": "Which window holds at a time, why, and what comes next",
    "compile": "What a backend is told, with a grade for every field",
    "lint": "Which numbers look wrong together",
    "tune": "Search for better numbers on recorded load",
}


@click.group(
    cls=LazyGroup,
    listing=POLICY_COMMANDS,
    prefix="policy_",
    short_help="Explain, compile, check and tune autoscaling policies",
)
def policy() -> None:
    """One autoscaling policy: numbers, and the windows in which other numbers hold."""

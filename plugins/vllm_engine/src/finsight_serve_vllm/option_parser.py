"""vLLM's own argument parser, and `python -m finsight_serve_vllm.option_parser`, which asks it about options.

Reads `{option: value}` as JSON from stdin, writes `[[option, what is wrong], …]` as JSON to the last line of stdout.
"""

import json
import sys
from argparse import ArgumentError, Namespace
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from .options import format_argv


def make_parser() -> Any:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser: Any = FlexibleArgumentParser  # untyped
    return make_arg_parser(parser())


def validate(args: Namespace) -> None:
    from vllm.entrypoints.launchers.cli_args import validate_parsed_serve_args

    validate_parsed_serve_args(args)


def find_faults(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(option, what is wrong) of each option that vLLM does not take; what only breaks together has no name."""
    parser = make_parser()
    parser.error = _raise
    known = {action.dest for action in parser._actions} - {"help"}
    faults = [(name, fault) for name, value in options.items() if (fault := _fault(parser, known, name, value))]
    if not faults:
        try:
            validate(parser.parse_args(list(format_argv(options))))
        except (TypeError, ValueError, KeyError) as error:
            faults.append(("", str(error)))
    return faults


def _fault(parser: Any, known: set[str], name: str, value: Any) -> str:
    name = name.replace("-", "_")
    if name.partition(".")[0] not in known:
        near = get_close_matches(name, known, n=1)
        return "vLLM has no such option" + (f"; did you mean {near[0]}?" if near else "")
    try:
        parser.parse_args(list(format_argv({name: value})))
    except (ArgumentError, TypeError, ValueError, KeyError) as error:
        return str(error).removeprefix("argument ")
    return ""


def _raise(message: str) -> None:
    raise ValueError(message)


if __name__ == "__main__":
    print(json.dumps(find_faults(json.load(sys.stdin))))

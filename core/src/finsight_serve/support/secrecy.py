"""What a name says of the value beside it, and which values can be looked for in any text. Pure."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

Secrecy = Literal["", "likely", "certain"]

_CERTAIN = re.compile(
    r"passwo?r?d|passphrase|secret|credential|authorization|bearer|cookie|(?:api|private|access)keys?$|token\d*$"
    r"|(?:api|auth|access|refresh|hub|hf)tokens$"
)
_LIKELY = re.compile(r"(?:keys?\d*|auth|env|environ(?:ment)?|dsn)$")
_ABOUT = re.compile(r"(?:file|path|dir|folder|name|names|type|header)$")
"""What ends so names a secret or says where it is."""
_PATH_TO_FILE = re.compile(r"(?:~|\.{1,2})?/[\w./@-]+\.[a-z]{2,5}")
_PLAIN = re.compile(r"[A-Za-z]+(?:[-_.:/ ]+[A-Za-z]*)*|[\d.:,_-]+|(?:/[\w.@-]+){2,}/?")
"""Words, numbers and paths: they stand in texts for reasons of their own."""

LIKELY_LENGTH, CERTAIN_LENGTH = 8, 6
"""Shorter ones are in every text by chance."""


def secrecy(name: str) -> Secrecy:
    """`HF_TOKEN`, `apiKey`, `db-password`: certain. `key`, `env`: likely. `max_tokens`, `auth_token_file`: none."""
    flat = re.sub(r"[^a-z0-9]", "", name.lower())
    if _ABOUT.search(flat):
        return ""
    if _CERTAIN.search(flat):
        return "certain"
    return "likely" if _LIKELY.search(flat) else ""


def names_a_secret_file(name: str) -> bool:
    """Of a setting whose value is a path, or of a file."""
    stem, suffix = re.sub(r"(?:[-_]?(?:file|path))$", "", name, flags=re.IGNORECASE), name.rpartition(".")[2]
    return suffix in ("key", "pem", "p12", "pfx") or bool(secrecy(stem) or secrecy(stem.partition(".")[0]))


def hides(name: str, value: Any) -> bool:
    """Whether a setting's value is to be removed. Switches and token counts stay, and so does the path of a file."""
    grade = secrecy(name)
    if not grade or value is None or isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return grade == "certain" and "token" not in name.lower()
    return not (isinstance(value, str) and _PATH_TO_FILE.fullmatch(value))


def is_telling(value: str, grade: Secrecy = "likely") -> bool:
    """Whether it can be looked for in any text, and be taken out of it, without tearing up what is no secret."""
    if grade == "certain":
        return len(value) >= CERTAIN_LENGTH
    return len(value) >= LIKELY_LENGTH and not _PLAIN.fullmatch(value)


def secrets_in(settings: Any, name: str = "") -> Iterator[str]:
    """Values of a JSON document that its names, or their own form, show to be secrets, and that can be looked for."""
    if hides(name, settings):
        yield from (text for text, grade in leaves(settings, secrecy(name)) if is_telling(text, grade))
    elif isinstance(settings, Mapping):
        for key, value in settings.items():
            yield from secrets_in(value, str(key))
        if isinstance(settings.get("name"), str):
            yield from secrets_in(settings.get("value"), settings["name"])
    elif isinstance(settings, list | tuple):
        for before, item in pairwise(("", *settings)):
            yield from secrets_in(item, before if is_flag(before) else "")
    elif isinstance(settings, str):
        flag, _, value = settings.partition("=")
        if value and is_flag(flag):
            yield from secrets_in(value, flag)
        yield from _url_password(settings)


def is_flag(word: object) -> bool:
    """A command line's `--api-key`, whose value is the word after it."""
    return isinstance(word, str) and word.startswith("--") and "=" not in word


def leaves(value: Any, grade: Secrecy) -> Iterator[tuple[str, Secrecy]]:
    """The texts in what is secret as a whole by `grade`, each with its own grade."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, "certain" if "certain" in (grade, secrecy(str(key))) else grade)
        if isinstance(value.get("name"), str) and secrecy(value["name"]) == "certain":
            yield from leaves(value.get("value"), "certain")
    elif isinstance(value, list | tuple):
        yield from (leaf for item in value for leaf in leaves(item, grade))
    elif value is not None and not isinstance(value, bool):
        yield from ((text, grade) for text in dict.fromkeys((str(value), str(value).strip())))
        yield from ((line.strip(), "likely") for line in str(value).splitlines()[1:-1])
        yield from ((text, "certain") for text in _url_password(str(value)))


def _url_password(text: str) -> Iterator[str]:
    if "://" in text and "@" in text:
        try:
            password = urlsplit(text).password or ""
        except ValueError:
            return
        yield from (one for one in dict.fromkeys((password, unquote(password))) if len(one) >= CERTAIN_LENGTH)


def secret_words(text: str, known: frozenset[str] = frozenset()) -> Iterator[str]:
    """Of a text that is a secret as a whole: the words that may be what is secret in it. `known` are mere names."""
    for word in re.findall(r"[\w+/=.~-]+", text):
        if word not in known and is_telling(word):
            yield word

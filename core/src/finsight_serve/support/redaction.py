"""Takes secrets out of texts and values: by the names beside them, by their form, and by what is known. Pure."""

import base64
import json
import re
import string
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from .secrecy import hides, is_flag, secrecy

REMOVED = "[removed]"
FINGERPRINT = 8
"""Hex digits of a key's hash, as in the audit: enough to tell keys apart."""

_NAME = (
    r"(?:password|passwd|passphrase|secret|credential|api[-_.]?key|private[-_.]?key|access[-_.]?key)[\w-]{0,20}|token"
)
_VALUE = r"""(?!\[removed\])(?:\\"(?:(?!\\").)*\\"|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[^\s"',;&)\]}]+)"""
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----(?:(?!-----).)*(?:-----END [A-Z0-9 ]+-----)?", re.S), ""),
    (re.compile(r"""(?i)(authorization\\?["']?\s*[:=,]\s*b?\\?["']?)[^"'\\\r\n]+"""), r"\1"),
    (re.compile(r"""(?i)((?:x-api-key|(?:set-)?cookie)\\?["']?\s*[:=,]\s*b?\\?["']?)[^"'\\\r\n]+"""), r"\1"),
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[\w.~+/=-]{8,}"), r"\1\2"),
    (re.compile(r"""([a-zA-Z][\w+.-]{1,20}://)[^/\s"'<>]+(?=@)"""), r"\1"),
    (re.compile(r"""([?&](?:sig|signature|key|code)=)[^&\s"']+"""), r"\1"),
    (re.compile(rf"""(?i)(--[\w-]{{0,40}}(?:{_NAME})\s+)(?!-)(?:{_VALUE})"""), r"\1"),
    (
        re.compile(
            r"\b(?:fs-[\w-]{40,}|hf_\w{20,}|sk-[\w-]{20,}|gh[opsur]_\w{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}|nvapi-[\w-]{20,}"
            r"|xox[abprs]-[\w-]{10,}|A(?:KIA|SIA)[A-Z0-9]{16}|AIza[\w-]{35}|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*)"
        ),
        "",
    ),
)
_ASSIGNED = re.compile(rf"""(?i)((?:{_NAME})\d*\\?["']?\s{{0,3}}[:=]\s{{0,3}})({_VALUE})""")
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----")
_KEY_CHARACTERS = string.ascii_letters + string.digits + "+/=\\ \t\r\n"
_WORD = re.compile(r"[\w-]{20,}", re.ASCII)
_SHA256 = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_KEY_LIKE = re.compile(r"(?<![\w+/-])(?=[\w+/-]*\d)(?=[\w+/-]*[A-Za-z])[\w+/-]{24,}={0,2}", re.ASCII)


@dataclass(frozen=True)
class Redactor:
    """`values` are removed wherever they stand, as they are or quoted, `key_sha256` are hashes of keys: those are cut
    short, and what they are the hashes of is removed. Where not all is known (`is_sure` is false), whatever has a key's
    form goes, too: an id more is lost then, and no key is given away.
    """

    values: Collection[str] = field(default=(), repr=False)
    key_sha256: Collection[str] = field(default=(), repr=False)
    is_sure: bool = True

    def text(self, text: str) -> str:
        text = _without_headless_key(self._without_values(text))
        for pattern, kept in _RULES:
            text = pattern.sub(kept + REMOVED, text)
        text = _ASSIGNED.sub(_assigned, text)
        if self.key_sha256:
            text = _SHA256.sub(self._fingerprint, text)
            text = _WORD.sub(self._unless_a_key, text)
        return text if self.is_sure else _KEY_LIKE.sub(REMOVED, text)

    def value(self, value: Any, name: str = "") -> Any:
        """A JSON value without its secrets. A switch beside a secret's name stays."""
        if hides(name, value):
            return self._hidden(value)
        if isinstance(value, Mapping):
            return self._mapping(value)
        if isinstance(value, list | tuple):
            return self._list(value)
        if isinstance(value, str):
            return self.text(value)
        return REMOVED if value is not None and self._is_a_value(value) else value

    def json(self, value: Any) -> str:
        """Indented. What is no JSON stands as its text."""
        plain = json.loads(json.dumps(value, default=str))
        # a value that spans several of them is caught in the whole
        return self._without_values(json.dumps(self.value(plain), indent=2, ensure_ascii=False))

    def _mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        if isinstance(value.get("name"), str) and "value" in value and secrecy(value["name"]):
            value = {**value, "value": self._hidden(value["value"])}
        return {self.text(str(key)): self.value(item, str(key)) for key, item in value.items()}

    def _list(self, value: Collection[Any]) -> list[Any]:
        return [self.value(item, before if is_flag(before) else "") for before, item in pairwise(("", *value))]

    def _hidden(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            is_entry = {"name", "value"} <= value.keys()
            return {
                self.text(str(key)): self.value(item) if is_entry and key == "name" else self._hidden(item)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._hidden(item) for item in value]
        return value if value is None or isinstance(value, bool) else REMOVED

    def _is_a_value(self, value: object) -> bool:
        return not isinstance(value, bool) and str(value) in self.values

    @cached_property
    def _spellings(self) -> tuple[str, ...]:
        """Longest first: one may hold another."""
        found = {spelling for value in self.values for spelling in _spell(value)}
        return tuple(sorted(found - {""}, key=lambda spelling: (-len(spelling), spelling)))

    def _without_values(self, text: str) -> str:
        for spelling in self._spellings:
            if spelling in text:
                text = text.replace(spelling, REMOVED)
        return text

    def _fingerprint(self, found: re.Match[str]) -> str:
        return f"{found[0][:FINGERPRINT]}{REMOVED}" if found[0] in self.key_sha256 else found[0]

    def _unless_a_key(self, found: re.Match[str]) -> str:
        return REMOVED if sha256(found[0].encode()).hexdigest() in self.key_sha256 else found[0]


def _spell(value: str) -> Iterator[str]:
    """As it may stand in JSON, in a URL, in Python's output, in base64."""
    yield value
    spell: Callable[[str], str]
    for spell in (json.dumps, lambda text: json.dumps(text, ensure_ascii=False), repr):
        yield spell(value)[1:-1]
    encoded = value.encode(errors="surrogatepass")
    yield quote(encoded, safe="")
    yield quote(encoded)
    yield base64.b64encode(encoded).decode()
    yield base64.urlsafe_b64encode(encoded).decode()


def _without_headless_key(text: str) -> str:
    """The last lines of a log may begin in the middle of a private key."""
    end = _KEY_END.search(text)
    if end is None or " PRIVATE KEY-----" in text[: end.start()]:
        return text
    return text[: end.start()].rstrip(_KEY_CHARACTERS) + REMOVED + text[end.end() :]


def _assigned(found: re.Match[str]) -> str:
    """Quotes stay, so that what was JSON is JSON."""
    value = found[2]
    ends = next((mark for mark in ('\\"', '"', "'") if value.startswith(mark) and value.endswith(mark)), "")
    return f"{found[1]}{ends}{REMOVED}{ends}"

"""Any JSON from elsewhere → JSON that SQLite can hold and a ledger wants to keep. Pure.

Reading fails for no number (NaN, 1e999, a million digits: such a one becomes a text) and no half a surrogate pair.
What is kept has a bound: first long texts become their length and hash, and where that is not enough, structure goes.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from itertools import islice
from typing import Any

from ccostdb.errors import Rejected

MAX_TEXT_CHARACTERS = 200
MAX_LEVELS = 200  # SQLite reads 1000
_MAX_NUMBER_CHARACTERS = 64  # a double is written with 25 at most
# How deep, and with how many members of each object and list, what is still too large is kept. Last: as what it is.
_CUTS = ((6, 100), (3, 50), (1, 50), (0, 0))
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # no text that SQLite gives back


def read_json(text: str) -> Any:
    """The value of a text. The last of equal keys counts. Raises Rejected, of which nothing repeats the text."""
    try:
        return json.loads(text, parse_int=_whole, parse_float=_double, parse_constant=str)
    except RecursionError as error:
        raise Rejected("JSON that is nested too deeply") from error
    except ValueError as error:
        raise Rejected("no readable JSON") from error


def sha256_of(value: Any) -> bytes:
    """The hash of what a value says: the order of keys and white space are no part of it."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).digest()


def digest(text: str) -> str:
    """What is kept, with its length, of a text that is not: its SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def clean(text: str) -> str:
    """A text that SQLite can hold whole: without NUL and halves of surrogate pairs."""
    return _UNSTORABLE.sub("�", text)


def dumped(value: Any, *, is_sorted: bool = False) -> str:
    """The shortest JSON of a value."""
    return clean(json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=is_sorted))


def kept_text(text: str) -> str:
    """A text, or its length and hash where it is long; without what is no character."""
    if len(text) <= MAX_TEXT_CHARACTERS:
        return clean(text)
    return f"[{len(text)} characters, SHA-256 {digest(text)}]"


def kept_json(value: Any, max_bytes: int, *, is_always_short: bool = False) -> tuple[str, bool]:
    """The JSON of a value in at most `max_bytes` (1,024 or more) of UTF-8, and whether something was left out of it."""
    whole = dumped(value)
    is_small = len(whole.encode()) <= max_bytes
    if is_small and not is_always_short and whole.count("{") + whole.count("[") <= MAX_LEVELS:
        return whole, False
    cut = _Cut(max_bytes, MAX_LEVELS, None, is_short=not is_small or is_always_short).text(value)
    for levels, members in _CUTS:
        if cut is not None:
            break
        cut = _Cut(max_bytes, levels, members).text(value)
    shorter = cut or "null"
    return shorter, shorter != whole


class _TooLargeError(Exception):
    """More is left than may be."""


class _Cut:
    """A value with its long texts named by length and hash, its deep levels and late members only counted."""

    def __init__(self, max_bytes: int, levels: int, members: int | None, *, is_short: bool = True) -> None:
        self._max_bytes = max_bytes
        self._left = max_bytes // 2  # values: each takes two bytes or more, so nothing large is copied in vain
        self._levels, self._members, self._is_short = levels, members, is_short

    def text(self, value: Any) -> str | None:
        """The JSON of what is left; None where that is too large."""
        try:
            text = dumped(self._value(value, self._levels))
        except _TooLargeError:
            return None
        return text if len(text.encode()) <= self._max_bytes else None

    def _value(self, value: Any, levels: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _TooLargeError
        if isinstance(value, str):
            return self._text(value)
        if not isinstance(value, dict | list):
            return value
        if levels == 0:
            return f"[{'object' if isinstance(value, dict) else 'list'} of {len(value)}]"
        more = 0 if self._members is None else len(value) - self._members
        rest = f"[{more} more]"
        if isinstance(value, list):
            cut = [self._value(each, levels - 1) for each in islice(value, self._members)]
            return [*cut, rest] if more > 0 else cut
        found = {self._text(key): self._value(each, levels - 1) for key, each in islice(value.items(), self._members)}
        return {**found, rest: None} if more > 0 else found

    def _text(self, text: str) -> str:
        return kept_text(text) if self._is_short else text


def _whole(text: str) -> int | str:
    return int(text) if len(text) <= _MAX_NUMBER_CHARACTERS else text


def _double(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text

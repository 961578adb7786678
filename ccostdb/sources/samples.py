"""One HTTP answer → the sample that may be stored: JSON that SQLite can read, with no long texts and no secret. Pure.

The stored body says what the answer said. A number that no column could hold (beyond 64 bits, NaN) becomes its text.
A text of more than 200 characters, and every one of a field that holds content, becomes its length and SHA-256. Of
what is larger than may be kept, the first elements of each list and object stay, with the number of those left out.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ccostdb.errors import Rejected
from ccostdb.model import Sample
from ccostdb.sources.json_bounds import MAX_TEXT_CHARACTERS, clean, digest, dumped, read_json
from ccostdb.words import repeated

MAX_ANSWER_BYTES = 1024 * 1024
LARGE_BYTES = 64 * 1024  # an answer of more is understood in a thread: it can take a second
LEFT_OUT = "left out"  # after a list's name, or in an object: how many
_MEMBERS = (1000, 300, 100, 30, 10, 1, 0)
MAX_DEPTH = 60  # SQLite reads a thousand, its callers less
OK = 200


@dataclass(frozen=True, slots=True)
class Manner:
    """What is known about an endpoint.

    `content`: fields whose texts are what people or models wrote. `noise`: fields whose change means nothing.
    `presence`: fields of which only it matters whether they are null. `is_ordered`: the order of its lists means
    something. `is_state`: a field `connected` answers the question, so that an `error` beside it is no failure.
    """

    content: Collection[str] = ()
    noise: Collection[str] = ()
    presence: Collection[str] = ()
    is_ordered: bool = False
    is_state: bool = False


def parse(
    endpoint: str,
    status: int,
    raw: bytes | None,
    polled_ns: int,
    *,
    manner: Manner,
    max_bytes: int,
    secret: str | None = None,
) -> Sample:
    """The sample of one answer, of `max_bytes` (1,024 or more) of UTF-8 at most; errors that it says have no body.

    `raw` None: it was larger than may be read.

    Raises Rejected where a 200 brings no JSON object. `secret` is struck out wherever the answer repeats it.
    """
    if status == OK and raw is None:
        raise Rejected(f"{endpoint}: larger than may be read")
    try:
        body = _read(raw or b"", _Settling(manner.content, secret))
    except Rejected as rejected:
        if status == OK:
            raise Rejected(f"{endpoint}: {rejected.reason}") from rejected
        return Sample(endpoint, polled_ns, None, f"HTTP {status}")
    said = _error(body, manner)
    if status != OK:
        return Sample(endpoint, polled_ns, None, f"HTTP {status}" + (f": {said}" if said else ""))
    if said is not None:
        return Sample(endpoint, polled_ns, None, said)
    return Sample(endpoint, polled_ns, _bounded(body if manner.is_ordered else _sorted(body), max_bytes))


def meaning(body: str | None, error: str | None, manner: Manner) -> bytes:
    """A hash that two samples share when only noise is between them. It is of what is stored: it outlives a process."""
    if body is None:
        return hashlib.sha256(f"error {error}".encode()).digest()
    value = _without_noise(json.loads(body), manner)
    return hashlib.sha256(dumped(value if manner.is_ordered else _sorted(value), is_sorted=True).encode()).digest()


def _bounded(body: Any, max_bytes: int) -> str:
    text = dumped(body, is_sorted=True)
    for members in _MEMBERS:
        if len(text.encode()) <= max_bytes:
            break
        text = dumped(_first(body, members), is_sorted=True)
    return text


def _first(value: Any, members: int) -> Any:
    """The value with so many elements of each list and object. An object says how many it lacks, and its lists do."""
    if isinstance(value, list):
        return [_first(one, members) for one in value[:members]]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key in sorted(value)[:members]:
        one = value[key]
        found[key] = _first(one, members)
        if isinstance(one, list) and len(one) > members:
            found[f"{key} {LEFT_OUT}"] = len(one) - members
    if len(value) > members:
        found[LEFT_OUT] = len(value) - members
    return found


def _digest(text: str) -> dict[str, object]:
    return {"characters": len(text), "sha256": digest(text)}


@dataclass(frozen=True, slots=True)
class _Settling:
    """Makes a document storable."""

    content: Collection[str]
    secret: str | None

    def value(self, value: Any, name: str = "", depth: int = 0, *, is_content: bool = False) -> Any:
        if depth > MAX_DEPTH:
            raise Rejected("JSON that is nested too deeply")
        is_content = is_content or name in self.content
        if isinstance(value, dict):
            return {
                self._key(key): self.value(one, key, depth + 1, is_content=is_content) for key, one in value.items()
            }
        if isinstance(value, list):
            return [self.value(one, name, depth + 1, is_content=is_content) for one in value]
        if isinstance(value, str):
            return _digest(value) if is_content else self._text(value, name)
        is_beyond = isinstance(value, int) and not -(2**63) <= value < 2**63
        return str(value) if is_beyond else value

    def _text(self, text: str, name: str) -> object:
        if len(text) <= MAX_TEXT_CHARACTERS:
            return self._clean(text)
        # Rust's `Error("…")` keeps its name, as the object {"failed": "…"} does.
        variant = re.match(r"\w{1,40}(?=\()", text) if name == "status" else None
        return {variant[0]: _digest(text)} if variant else _digest(text)

    def _key(self, key: str) -> str:
        return self._clean(key) if len(key) <= MAX_TEXT_CHARACTERS else digest(key)

    def _clean(self, text: str) -> str:
        if self.secret and len(self.secret) >= 8:  # a shorter one is no secret, and could be anywhere
            text = text.replace(self.secret, "[key]")
        return clean(text)


def _read(raw: bytes, settling: _Settling) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Rejected("no readable JSON") from error
    body = read_json(text)
    if not isinstance(body, dict):
        raise Rejected("the document is no object")
    settled: dict[str, Any] = settling.value(body)
    return settled


def _error(body: dict[str, Any], manner: Manner) -> str | None:
    """What a document says went wrong; None: nothing. Many servers say so with a 200."""
    said = body.get("error")
    if manner.is_state and "connected" in body:
        return None
    if said is None or said is False:
        return "it says only that it failed" if body.get("success") is False else None
    if isinstance(said, dict) and isinstance(said.get("message"), str):
        said = said["message"]
    return repeated(said if isinstance(said, str) else dumped(said, is_sorted=True), MAX_TEXT_CHARACTERS)


def _without_noise(value: Any, manner: Manner) -> Any:
    if isinstance(value, dict):
        return {
            key: one is not None if key in manner.presence else _without_noise(one, manner)
            for key, one in value.items()
            if key not in manner.noise
        }
    return [_without_noise(one, manner) for one in value] if isinstance(value, list) else value


def _sorted(value: Any) -> Any:
    """The same with every list in the order of its elements' ids, else of their text: servers send them in any."""
    if isinstance(value, dict):
        return {key: _sorted(one) for key, one in value.items()}
    if isinstance(value, list):
        return sorted((_sorted(one) for one in value), key=lambda one: (_id(one), dumped(one, is_sorted=True)))
    return value


def _id(value: Any) -> str:
    return str(value.get("task_id") or value.get("agent_id") or "") if isinstance(value, dict) else ""

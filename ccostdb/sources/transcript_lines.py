"""One line of a transcript as what it says: the format itself, and how a line that is not quite JSON is still read.

`decode_strictly` reads a line without copying what nobody asks for; what it refuses goes to `decode_leniently`. What
the words mean is `claude_code.py`'s. Pure.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from itertools import islice
from typing import Annotated, Any, NoReturn

import msgspec

from ccostdb.errors import Rejected

# What the reader searches every line for: Claude Code writes this key into each usage that it records. A usage without
# the key, if only with `input_tokens`, is passed over uncounted: a search for both keys, or for the shorter "usage",
# would slow every import for a line that nobody has seen.
MARKER = b'"output_tokens"'
Tell = Callable[[int, Rejected], None]  # the offset of what is refused, and why
# More in one request is impossible; and a million of such calls still add up within 64 bits.
MAX_TOKENS = 100_000_000
MAX_SEARCHES = 10_000
MAX_ITERATIONS = 100

Tokens = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]
Searches = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEARCHES)]
Name = Annotated[str, msgspec.Meta(max_length=512)]
Path = Annotated[str, msgspec.Meta(max_length=4096)]


class CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: Tokens | None = None
    ephemeral_1h_input_tokens: Tokens | None = None


class ServerToolUse(msgspec.Struct, gc=False):
    web_search_requests: Searches | None = None


class Iteration(msgspec.Struct, gc=False):
    type: str | None = None
    model: Name | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_creation: CacheCreation | None = None


class Counts(msgspec.Struct, gc=False):
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_creation: CacheCreation | None = None
    server_tool_use: ServerToolUse | None = None
    service_tier: Name | None = None
    inference_geo: Name | None = None
    speed: Name | None = None
    iterations: Annotated[list[Iteration], msgspec.Meta(max_length=MAX_ITERATIONS)] | None = None


class Message(msgspec.Struct, gc=False):
    id: Name | None = None
    model: Name | None = None
    usage: Counts | None = None


class Line(msgspec.Struct, gc=False, rename="camel"):
    type: str | None = None
    message: Message | None = None
    session_id: Name | None = None
    request_id: Name | None = None
    timestamp: Name | None = None
    cwd: Path | None = None
    version: Name | None = None
    git_branch: Name | None = None
    entrypoint: Name | None = None
    agent_id: Name | None = None
    attribution_agent: Name | None = None
    is_sidechain: bool | None = None
    is_api_error_message: bool | None = None
    cost: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="costUSD")
    forked_from: object = None
    data: msgspec.Raw = msgspec.Raw()


class _Progress(msgspec.Struct, gc=False, rename="camel"):
    """`data` of an `agent_progress` line: a whole line of the sub-agent, nested."""

    type: str | None = None
    message: Line | None = None
    agent_id: Name | None = None


REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)  # what `decode_strictly` raises
decode_strictly = msgspec.json.Decoder(Line).decode
_decode_progress = msgspec.json.Decoder(_Progress).decode


def decode_progress(line: Line) -> tuple[str | None, Line] | None:
    """The instance and the line of the sub-agent in an `agent_progress` line; None for any other progress."""
    try:
        progress = _decode_progress(line.data)
    except REFUSED as error:
        found = _json_object(bytes(line.data))
        if found is None or found.get("type") != "agent_progress":
            return None  # another kind of progress: its data is not ours to read
        found = _whole_numbers({key: found[key] for key in ("type", "agentId", "message") if key in found})
        if isinstance(found.get("message"), dict):
            found["message"] = _known(found["message"])
        try:
            progress = msgspec.convert(found, _Progress, strict=True)
        except REFUSED:
            raise Rejected(f"agent_progress: {error}") from error
    if progress.type != "agent_progress" or progress.message is None:
        return None
    return progress.agent_id, progress.message


def decode_leniently(line: bytes) -> Line:
    """The same line by the forgiving standard decoder: lone surrogates, `3.0` tokens, an optional word of another type.

    Raises Rejected for what is no JSON object, or a call whose tokens cannot be counted.
    """
    found = _json_object(line)
    if found is None:
        reject("the line is no JSON object", line)
    usable = found.get("type") == "assistant" or (found.get("type") == "progress" and MARKER in line)
    if not usable:
        return Line()
    try:
        return msgspec.convert(_whole_numbers(_known(found)), Line, strict=True)
    except REFUSED as error:
        reject(f"{error}", line)


def records_in(line: bytes) -> list[tuple[int, bytes]]:
    """The pieces of a line that is no JSON object, with where each begins: records that were glued together.

    A writer that was killed leaves half a record, or none of its newline; the next record follows on the same line.
    """
    start = len(line) - len(line.lstrip())
    try:
        # Latin-1, because then a byte is a character; the structure of JSON is ASCII.
        first, end = _DECODER.raw_decode(line.decode("latin-1"), start)
    except (ValueError, RecursionError):
        first, end = None, 0
    if isinstance(first, dict):
        if not line[end:].strip():
            return [(0, line)]
        return [(0, line[:end]), *((end + begin, piece) for begin, piece in records_in(line[end:]))]
    for glued in islice(_GLUED.finditer(line, 1), 64):
        if _json_object(line[glued.start() :]) is not None:
            return [(0, line[: glued.start()]), (glued.start(), line[glued.start() :])]
    return [(0, line)]


_DECODER = json.JSONDecoder()
_GLUED = re.compile(rb'\{"(?:parentUuid|type|isSidechain|sessionId|uuid)"')


def _json_object(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _known(found: dict[str, Any]) -> dict[str, Any]:
    """The keys that `Line` reads, without the content of the message (which may be anything).

    A word that is not of its type costs only itself.
    """
    kept = {key: found[key] for key, kind in _LINE_TYPES.items() if key in found and _is_of(found[key], kind)}
    message = found.get("message")
    if isinstance(message, dict):
        kept["message"] = {key: message[key] for key in ("id", "model", "usage") if key in message}
        usage = message.get("usage")
        if isinstance(usage, dict):
            kept["message"]["usage"] = {
                key: value for key, value in usage.items() if key not in _USAGE_WORDS or _is_of(value, Name | None)
            }
    for key in ("data", "costUSD"):
        if key in found:
            kept[key] = msgspec.Raw(json.dumps(_whole_numbers(found[key])).encode())
    return kept


def _is_of(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind, strict=True)
    except REFUSED:
        return False
    return True


_USAGE_WORDS = {"service_tier", "inference_geo", "speed"}
_LINE_TYPES = {
    each.encode_name: each.type for each in msgspec.structs.fields(Line) if each.name not in ("cost", "data")
}


def _whole_numbers(value: Any) -> Any:
    """The value with `3.0` as 3 and lone surrogates replaced: what SQLite can hold."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {str(key): _whole_numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(each) for each in value]
    return value


def reject(reason: str, line: bytes) -> NoReturn:
    """Refuses a line."""
    raise Rejected(reason, excerpt(line))


def excerpt(line: bytes) -> str:
    """What may be kept of a refused line: its start up to the message, else only a length and a hash.

    A start is kept only where it is whole values of keys that never hold what a user wrote.
    """
    found = _HARMLESS_START.match(line, 0, 200)
    if found and line.startswith(b'"message"', found.end()):
        return found[0].decode("utf-8", "replace")
    return f"{len(line)} bytes, sha256 {hashlib.sha256(line).hexdigest()[:16]}"


_HARMLESS_START = re.compile(
    rb'\s*\{(?:\s*"(?:parentUuid|logicalParentUuid|isSidechain|isMeta|userType|entrypoint|cwd|sessionId|version|gitBranch'
    rb'|type|uuid|timestamp|requestId|agentId)"\s*:\s*(?:null|true|false|"(?:[^"\\]|\\.)*")\s*,\s*)+'
)

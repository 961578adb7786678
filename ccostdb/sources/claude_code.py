"""Claude Code's transcripts: what one line means. Everything known about the format is here; the files are read by
`transcript_files.py`. Pure.

A model call appears as one or more `assistant` lines, repeated as the answer streams. Each is a `Record`, one sighting
of a call; `ledger.fold` decides which sighting counts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, NoReturn

import msgspec

from ccostdb.clock import parse_ns
from ccostdb.errors import Rejected
from ccostdb.model import Record, Usage

MARKER = b'"output_tokens"'  # every line that carries a call holds this; longer than "usage", and so found faster
RANK_NESTED, RANK_SIDECHAIN, RANK_OWN = 0, 1, 2  # Record.rank
UNNAMED_AGENT = "subagent"
_UNIQUE_ID_LENGTH = 24
MAX_TOKENS = 1_000_000_000  # more in one request is impossible: the largest context is a thousandth of it

Tokens = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]
Name = Annotated[str, msgspec.Meta(max_length=512)]
Path = Annotated[str, msgspec.Meta(max_length=4096)]


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: Tokens | None = None
    ephemeral_1h_input_tokens: Tokens | None = None


class _ServerToolUse(msgspec.Struct, gc=False):
    web_search_requests: Tokens | None = None


class _Iteration(msgspec.Struct, gc=False):
    type: str | None = None
    model: Name | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_creation: _CacheCreation | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_creation: _CacheCreation | None = None
    server_tool_use: _ServerToolUse | None = None
    service_tier: Name | None = None
    inference_geo: Name | None = None
    speed: Name | None = None
    iterations: list[_Iteration] | None = None


class _Message(msgspec.Struct, gc=False):
    id: Name | None = None
    model: Name | None = None
    usage: _Usage | None = None


class _Line(msgspec.Struct, gc=False, rename="camel"):
    type: str | None = None
    message: _Message | None = None
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
    message: _Line | None = None
    agent_id: Name | None = None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_progress = msgspec.json.Decoder(_Progress).decode


def sightings(
    lines: Iterable[tuple[int, bytes | None]],
    position_id: int,
    file_agent: str | None,
    reject: Callable[[int, Rejected], None],
) -> Iterator[Record]:
    """The sightings in the lines of one file, given with their offsets; None for a line that was too long to read.

    A line that the next one only repeats, as an answer streams, is left out: half of all lines are such. `reject` is
    told of every line that cannot be understood, and where it lies.
    """
    held: _Line | None = None
    held_offset = 0
    for offset, line in lines:
        try:
            if line is None:
                raise Rejected("the line is longer than any call")
            found = None if line.isspace() else _call_in(line)
            if found is None:
                continue
            if held is not None and _repeats(found, held):
                found.timestamp = held.timestamp
            elif held is not None:
                record, held = _record(held, position_id, held_offset, file_agent), None
                yield record
            held, held_offset = found, offset
        except Rejected as rejected:
            reject(offset, rejected)
    if held is not None:
        yield _record(held, position_id, held_offset, file_agent)


def parse(line: bytes, position_id: int = 0, offset: int = 0, file_agent: str | None = None) -> Record | None:
    """The sighting in one line of a transcript, or None. `file_agent`: the sub-agent's type where a side-car names it.

    Raises Rejected for a line that is no JSON object, or whose call cannot be counted.
    """
    found = _call_in(line)
    return None if found is None else _record(found, position_id, offset, file_agent)


def _call_in(line: bytes) -> _Line | None:
    """The line, if it tells of a model call; for an `agent_progress` line the sub-agent's line that is nested in it."""
    try:
        found = _decode_line(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = _decode_leniently(line)
    if found.type == "progress" and found.data:
        found = _nested(found) or found
    elif found.type != "assistant":
        return None
    message = found.message
    if message is None or message.usage is None or message.model == "<synthetic>":
        return None
    if message.usage.input_tokens is None and message.usage.output_tokens is None:
        _reject("usage has neither input_tokens nor output_tokens", line)
    return found


def _repeats(found: _Line, held: _Line) -> bool:
    """Whether a line says of its call all that the one before it in the file said, and perhaps more."""
    after, before = found.message, held.message
    return (
        after is not None
        and before is not None
        and after.id == before.id
        and found.request_id == held.request_id
        and found.session_id == held.session_id
        and found.cwd == held.cwd
        and found.type == held.type
        and found.is_sidechain == held.is_sidechain
        and found.forked_from == held.forked_from
        and (found.timestamp or "") >= (held.timestamp or "")
        and len(after.id or "") >= _UNIQUE_ID_LENGTH
        and _output(after) >= _output(before)
    )


def _output(message: _Message) -> int:
    return (message.usage.output_tokens or 0) if message.usage else 0


def _record(found: _Line, position_id: int, offset: int, file_agent: str | None) -> Record:
    message = found.message
    if message is None or message.usage is None:
        raise ValueError("a line without usage is no sighting")
    rank = RANK_NESTED if found.type == "progress" else RANK_SIDECHAIN if found.is_sidechain else RANK_OWN
    is_agent = rank != RANK_OWN or found.agent_id is not None
    reported = bytes(found.cost).decode() if found.cost else None
    return Record(
        _identity(message.id, found),
        rank,
        _usage(message.usage),
        position_id,
        offset,
        parse_ns(found.timestamp) if found.timestamp else None,
        message.model,
        found.session_id,
        found.cwd,
        (found.attribution_agent or file_agent or UNNAMED_AGENT) if is_agent else None,
        found.agent_id,
        rank != RANK_OWN,
        found.forked_from is not None,
        bool(found.is_api_error_message),
        found.request_id,
        found.entrypoint,
        found.version,
        found.git_branch,
        reported,
        _nusd(reported) if reported else None,
    )


def _identity(message_id: str | None, line: _Line) -> str:
    """What makes two sightings one call. Only a `msg_…` id of full length is unique by itself."""
    if message_id and message_id.startswith("msg_") and len(message_id) >= _UNIQUE_ID_LENGTH:
        return message_id
    parts: tuple[str | None, ...]
    if line.request_id:
        parts = (message_id, line.request_id)
    elif message_id and message_id.startswith("msg_"):
        parts = (line.session_id, message_id)
    else:
        parts = (line.session_id, message_id, line.timestamp)
    return "|".join((part or "").replace("%", "%25").replace("|", "%7C") for part in parts)


def _nested(line: _Line) -> _Line | None:
    """The sub-agent's line inside an `agent_progress` line, completed from the line around it."""
    try:
        progress = _decode_progress(line.data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None  # another kind of progress: its data is not ours to read
    nested = progress.message
    if progress.type != "agent_progress" or nested is None or nested.type != "assistant":
        return None
    nested.type = line.type
    nested.session_id = line.session_id
    nested.cwd = nested.cwd or line.cwd
    nested.version = nested.version or line.version
    nested.git_branch = nested.git_branch or line.git_branch
    nested.entrypoint = nested.entrypoint or line.entrypoint
    nested.timestamp = nested.timestamp or line.timestamp
    nested.agent_id = progress.agent_id or nested.agent_id
    nested.forked_from = line.forked_from
    return nested


def _usage(usage: _Usage) -> Usage:
    """Our token kinds. What exceeds the split of cache writes, or has none, is a 5-minute write."""
    write_5m, write_1h = _cache_writes(usage.cache_creation, usage.cache_creation_input_tokens)
    tools = usage.server_tool_use
    return Usage(
        usage.input_tokens or 0,
        usage.output_tokens or 0,
        write_5m,
        write_1h,
        usage.cache_read_input_tokens or 0,
        tools.web_search_requests if tools else None,
        usage.speed,
        usage.service_tier,
        usage.inference_geo,
        _advisor(usage.iterations) if usage.iterations else None,
    )


def _cache_writes(split: _CacheCreation | None, total: int | None) -> tuple[int, int]:
    if split is None:
        return total or 0, 0
    write_5m = split.ephemeral_5m_input_tokens or 0
    write_1h = split.ephemeral_1h_input_tokens or 0
    return write_5m + max(0, (total or 0) - write_5m - write_1h), write_1h


def _advisor(iterations: list[_Iteration]) -> str | None:
    """The iterations billed beside the call, under their own model; the others are part of its totals."""
    extra = []
    for each in iterations:
        if each.type == "advisor_message":
            write_5m, write_1h = _cache_writes(each.cache_creation, each.cache_creation_input_tokens)
            extra.append(
                {
                    "model": each.model,
                    "input_tokens": each.input_tokens or 0,
                    "output_tokens": each.output_tokens or 0,
                    "cache_write_5m_tokens": write_5m,
                    "cache_write_1h_tokens": write_1h,
                    "cache_read_tokens": each.cache_read_input_tokens or 0,
                }
            )
    return json.dumps(extra, separators=(",", ":")) if extra else None


def _nusd(text: str) -> int | None:
    """Nano-USD of a JSON number of dollars, half-even; None for what is no amount."""
    try:
        amount = Decimal(text)
        return round(amount * 1_000_000_000) if 0 <= amount <= 1_000_000 else None
    except (InvalidOperation, ValueError):
        return None


# --- lines that the strict decoder refuses ---

_GLUED = re.compile(rb'\{"(?:parentUuid|type|isSidechain|sessionId|uuid)"')


def _decode_leniently(line: bytes) -> _Line:
    """The same line by the forgiving standard decoder: lone surrogates, `3.0` tokens, a torn record glued before it."""
    found = _json_object(line)
    if found is None:
        # A writer that was killed leaves half a record; the next one follows on the same line.
        starts = [match.start() for match in _GLUED.finditer(line)][1:65]
        found = next((glued for start in starts if (glued := _json_object(line[start:])) is not None), None)
        if found is None:
            _reject("the line is no JSON object", line)
    usable = found.get("type") == "assistant" or (found.get("type") == "progress" and MARKER in line)
    if not usable:
        return _Line()
    try:
        return msgspec.convert(_whole_numbers(_known(found)), _Line, strict=True)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        _reject(f"{error}", line)


def _json_object(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _known(found: dict[str, Any]) -> dict[str, Any]:
    """The keys that `_Line` reads, without the content of the message (which may be anything)."""
    kept = {key: found[key] for key in _LINE_KEYS if key in found}
    message = kept.get("message")
    if isinstance(message, dict):
        kept["message"] = {key: message[key] for key in ("id", "model", "usage") if key in message}
    for key in ("data", "costUSD"):
        if key in kept:
            kept[key] = msgspec.Raw(json.dumps(_whole_numbers(kept[key])).encode())
    return kept


_LINE_KEYS = tuple(each.encode_name for each in msgspec.structs.fields(_Line))


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


def _reject(reason: str, line: bytes) -> NoReturn:
    raise Rejected(reason, excerpt(line))


def excerpt(line: bytes) -> str:
    """What may be kept of a refused line: its start up to the message, else only a length and a hash."""
    end = line.find(b'"message"')
    if 0 <= end <= 200:
        return line[:end].decode("utf-8", "replace")
    return f"{len(line)} bytes, sha256 {hashlib.sha256(line).hexdigest()[:16]}"

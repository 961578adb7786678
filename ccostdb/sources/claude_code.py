"""Claude Code's transcripts: what a line means. The lines' own format is in `transcript_lines.py`; the files are read
by `transcript_files.py`. Pure.

A model call appears as one or more `assistant` lines, repeated as the answer streams. Each is one
sighting of a call; `ledger.fold` decides which sighting counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation

from ccostdb.clock import parse_ns
from ccostdb.errors import Rejected
from ccostdb.model import SYNTHETIC, Claim, Sighting, Usage
from ccostdb.sources.transcript_lines import (
    REFUSED,
    CacheCreation,
    Counts,
    Iteration,
    Line,
    Tell,
    decode_leniently,
    decode_progress,
    decode_strictly,
    records_in,
    reject,
)

RANK_NESTED, RANK_SIDECHAIN, RANK_OWN = 0, 1, 2  # Call.record_rank
UNNAMED_AGENT = "subagent"
_UNIQUE_ID_LENGTH = 24
_PLAIN_TIME_LENGTH = len("2026-08-12T12:00:00.000Z")
_LONGEST_AMOUNT = 64
_new = tuple.__new__  # of a NamedTuple whose fields are all given: half the time, and each message needs two


def sightings(
    lines: Iterable[tuple[int, bytes | None]],
    position_id: int,
    file_agent: str | None,
    now_ns: int,
    tell: Tell,
) -> Iterator[Sighting]:
    """The sightings in the lines of one file, given with their offsets; None for a line that was too long to read.

    `file_agent`: the sub-agent's type where a side-car names it; `now_ns` stands in for a time that cannot be read.
    A line that the next one only repeats, as an answer streams, is left out: half of all lines are such. `tell` hears
    of every line that cannot be understood, and where it lies.
    """
    held: Line | None = None
    held_offset, first_ns = 0, None  # the earliest readable time of those that the held one repeats
    for offset, found in _telling_lines(lines, tell):
        if held is not None and _repeats(found, held):
            first_ns = _time(held) if first_ns is None else first_ns
        elif held is not None:
            yield _sighting(held, position_id, held_offset, file_agent, now_ns, first_ns=first_ns)
            first_ns = None
        held, held_offset = found, offset
    if held is not None:
        yield _sighting(held, position_id, held_offset, file_agent, now_ns, first_ns=first_ns)


def parse(line: bytes, position_id: int, offset: int, file_agent: str | None, now_ns: int) -> Sighting | None:
    """The sighting in one line of a transcript, or None. The rest as for `sightings`.

    Raises Rejected for a line that is no JSON object, or whose call cannot be counted.
    """
    try:
        found = _telling_line(decode_strictly(line), line)
    except REFUSED:
        found = _telling_line(decode_leniently(line), line)
    return None if found is None else _sighting(found, position_id, offset, file_agent, now_ns)


def _telling_lines(lines: Iterable[tuple[int, bytes | None]], tell: Tell) -> Iterator[tuple[int, Line]]:
    """The lines that tell of a model call; what cannot be understood is told, and passed over."""
    for offset, line in lines:
        try:
            if line is None:
                raise Rejected("the line is longer than any call")
            found = _telling_line(decode_strictly(line), line)
        except REFUSED:
            yield from _read_carefully(offset, line or b"", tell)
        except Rejected as rejected:
            tell(offset, rejected)
        else:
            if found is not None:
                yield offset, found


def _read_carefully(offset: int, line: bytes, tell: Tell) -> Iterator[tuple[int, Line]]:
    """The calls in a line that the strict decoder refuses: one, or several records glued together."""
    for begin, piece in records_in(line):
        try:
            found = None if not piece or piece.isspace() else _telling_line(decode_leniently(piece), piece)
        except Rejected as rejected:
            tell(offset + begin, rejected)
            continue
        if found is not None:
            yield offset + begin, found


def _telling_line(found: Line, line: bytes) -> Line | None:
    """The line, if it tells of a model call; for an `agent_progress` line the sub-agent's line that is nested in it."""
    if found.type == "progress" and found.data:
        found = _nested(found) or found
    elif found.type != "assistant":
        return None
    message = found.message
    if message is None or message.usage is None or message.model == SYNTHETIC:
        return None
    if message.usage.input_tokens is None and message.usage.output_tokens is None:
        reject("usage has neither input_tokens nor output_tokens", line)
    return found


def _repeats(found: Line, held: Line) -> bool:
    """Whether a line says of its call all that the one before it in the file said but its time, and perhaps more.

    The time must be later, and both of the form in which text sorts like time: `2026-08-12T12:00:00.000Z`.
    """
    after, before, later, earlier = found.message, held.message, found.timestamp, held.timestamp
    if after is None or before is None or after.id is None or after.id != before.id:
        return False
    return (
        found.request_id == held.request_id
        and found.session_id == held.session_id
        and found.cwd == held.cwd
        and found.type == held.type
        and found.is_sidechain == held.is_sidechain
        and found.forked_from == held.forked_from
        and later is not None
        and earlier is not None
        and later >= earlier
        and len(later) == len(earlier) == _PLAIN_TIME_LENGTH
        and later[-1] == earlier[-1] == "Z"
        and later[10] == earlier[10] == "T"
        and earlier[17] < "6"  # a leap second lies behind what sorts behind it
        and len(after.id) >= _UNIQUE_ID_LENGTH
        and (after.id.startswith("msg_") or bool(found.request_id))
        and after.usage is not None
        and before.usage is not None
        and (after.usage.output_tokens or 0) >= (before.usage.output_tokens or 0)
    )


def _time(line: Line) -> int | None:
    return parse_ns(line.timestamp) if line.timestamp else None


def _sighting(
    found: Line, position_id: int, offset: int, file_agent: str | None, now_ns: int, *, first_ns: int | None = None
) -> Sighting:
    message = found.message
    if message is None or message.usage is None:
        raise ValueError("a line without usage is no sighting")
    rank = RANK_NESTED if found.type == "progress" else RANK_SIDECHAIN if found.is_sidechain else RANK_OWN
    is_agent = rank != RANK_OWN or found.agent_id is not None
    usage = _usage(message.usage)
    agent = (found.attribution_agent or file_agent or UNNAMED_AGENT) if is_agent else None
    status = "error" if found.is_api_error_message else None
    said, nusd = _reported(bytes(found.cost)) if found.cost else (None, None)
    claim = _new(Claim, (
        usage, message.model, agent, found.agent_id, 0 if rank == RANK_OWN else 1, status, found.request_id,
        found.entrypoint, found.version, found.git_branch, said, nusd,
    ))  # fmt: skip
    occurred_ns = _time(found) if first_ns is None else first_ns
    return Sighting(
        _identity(message.id, found),
        now_ns if occurred_ns is None else occurred_ns,
        occurred_ns is None,
        claim,
        found.cwd,
        found.session_id,
        record_rank=rank,
        position_id=position_id,
        position_offset=offset,
        is_copied=found.forked_from is not None,
        origin_position_id=position_id,
        origin_offset=offset,
    )


def _identity(message_id: str | None, line: Line) -> str:
    """What makes two sightings one call. Only a `msg_…` id of full length is unique by itself."""
    if message_id and message_id.startswith("msg_") and len(message_id) >= _UNIQUE_ID_LENGTH:
        return message_id
    name, request, session = map(_part, (message_id, line.request_id, line.session_id))
    if line.request_id:
        return f"{name}:{request}"
    if message_id and message_id.startswith("msg_"):
        return f"{name}@{session}"
    return f"{name}@{session}@{_part(line.timestamp)}"


def _part(text: str | None) -> str:
    return (text or "").replace("%", "%25").replace(":", "%3A").replace("@", "%40")


def _nested(line: Line) -> Line | None:
    """The sub-agent's line inside an `agent_progress` line, completed from the line around it."""
    progress = decode_progress(line)
    if progress is None or progress[1].type != "assistant":
        return None
    agent_id, nested = progress
    nested.type = line.type
    nested.session_id = line.session_id
    nested.cwd = nested.cwd or line.cwd
    nested.version = nested.version or line.version
    nested.git_branch = nested.git_branch or line.git_branch
    nested.entrypoint = nested.entrypoint or line.entrypoint
    nested.timestamp = nested.timestamp or line.timestamp
    nested.agent_id = agent_id or nested.agent_id
    nested.forked_from = line.forked_from
    return nested


def _usage(usage: Counts) -> Usage:
    """Our token kinds. What exceeds the split of cache writes, or has none, is a 5-minute write."""
    write_5m, write_1h = _cache_writes(usage.cache_creation, usage.cache_creation_input_tokens)
    tools = usage.server_tool_use
    searches = tools.web_search_requests if tools else None
    advisor = _advisor(usage.iterations) if usage.iterations else None
    return _new(Usage, (
        usage.input_tokens or 0, usage.output_tokens or 0, write_5m, write_1h, usage.cache_read_input_tokens or 0,
        searches, usage.speed, usage.service_tier, usage.inference_geo, advisor,
    ))  # fmt: skip


def _cache_writes(split: CacheCreation | None, total: int | None) -> tuple[int, int]:
    if split is None:
        return total or 0, 0
    write_5m = split.ephemeral_5m_input_tokens or 0
    write_1h = split.ephemeral_1h_input_tokens or 0
    return write_5m + max(0, (total or 0) - write_5m - write_1h), write_1h


def _advisor(iterations: list[Iteration]) -> str | None:
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


def _reported(cost: bytes) -> tuple[str | None, int | None]:
    """A JSON number of dollars as its text and in nano-USD, half-even; two None for what is no amount."""
    if len(cost) > _LONGEST_AMOUNT:
        return None, None
    text = cost.decode("ascii", "replace")
    try:
        amount = Decimal(text)
        return (text, round(amount * 1_000_000_000)) if 0 <= amount <= 10_000 else (None, None)
    except (InvalidOperation, ValueError):
        return None, None

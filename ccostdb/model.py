"""The words that every stage shares. Values only, no I/O.

They are msgspec Structs, which take a tenth of a dataclass's time to define, and less to make; what SQLite or a busy
loop takes apart is a NamedTuple. Units stand in the names: `_ns` and `_s` are UTC since the epoch, `_nusd` is integer
nano-USD, `_tokens` counts tokens. None means unknown or not sent and is never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

replace = msgspec.structs.replace  # a copy of a value with other fields

SYNTHETIC = "<synthetic>"  # Claude Code's own words: no model was called
QUARTER_HOUR_S = 900
QUARTER_HOUR_NS = 900_000_000_000


class SseEvent(msgspec.Struct, frozen=True):
    """One dispatched server-sent event: `type` ('message' by default), `data`, and the last event id in force."""

    type: str
    data: str
    id: str = ""


class Usage(NamedTuple):
    """What one call used. `input_tokens` excludes cache tokens, as the API reports them."""

    input_tokens: int
    output_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    cache_read_tokens: int
    web_searches: int | None = None
    speed: str | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    advisor: str | None = None  # JSON list of {model, input_tokens, …}: extra billed iterations


class Claim(NamedTuple):
    """What one sighting of a call says of it, but for whose it is. `is_sidechain` is 0 or 1, as SQLite has it."""

    usage: Usage | None  # None: only a total was sent
    model: str | None = None
    agent: str | None = None
    agent_instance: str | None = None
    is_sidechain: int | None = None
    status: str | None = None
    request_id: str | None = None
    entrypoint: str | None = None
    version: str | None = None
    git_branch: str | None = None
    reported_text: str | None = None
    reported_nusd: int | None = None


class Cost(NamedTuple):
    """The price of one call: as made, and as it would have been without caching. None: no price is known."""

    computed_nusd: int | None
    uncached_nusd: int | None


NO_COST = Cost(None, None)


class Activity(msgspec.Struct, frozen=True):
    """One element of CCO's `activity`: its eight fields, None where missing, null or not of their type.

    `identity` is the canonical text of the eight fields as sent; `raw` the element's JSON where the fields do not
    say it all, else None. `occurred_ns` is None where the timestamp cannot be read.
    """

    identity: str
    timestamp: str | None
    occurred_ns: int | None
    event_type: str | None
    agent_name: str | None
    model: str | None
    tokens: int | None
    latency_ms: int | None
    status: str | None
    cost_text: str | None
    cost_nusd: int | None
    raw: str | None = None


class Snapshot(msgspec.Struct, frozen=True):
    """One `analytics` frame of CCO. `activity` is None for a body that has none (flat stats)."""

    received_ns: int
    last_updated_ns: int | None
    uptime_s: float | None
    calls: int | None
    cost_text: str | None
    cost_nusd: int | None
    activity: tuple[Activity, ...] | None
    models: str | None = None
    rejects: tuple[Reject, ...] = ()


class Reject(msgspec.Struct, frozen=True):
    """A frame or element that could not be understood. `place` is file:offset, None for a stream.

    `times`: how many such it stands for, where they are too many to keep each.
    """

    at_ns: int
    reason: str
    excerpt: str | None = None
    place: str | None = None
    times: int = 1


class Gap(msgspec.Struct, frozen=True):
    """What is provably missing. Calls and money are None for a restart: unknown. `events`: daemon events, if known."""

    epoch: int
    kind: str  # overflow, attach, restart, excess; of daemon events: disconnected, dropped
    from_ns: int | None
    to_ns: int
    calls: int | None
    cost_nusd: int | None
    detected_ns: int
    events: int | None = None


class DaemonEvent(msgspec.Struct, frozen=True):
    """One event of a session daemon (CCD). `runtime` and `payload` are JSON text, None where not sent.

    `is_shortened`: long strings of them are only a length and a hash; `content_sha256` is of all that was sent.
    `occurred_ns` is None where the timestamp cannot be read.
    """

    event_id: str
    family: str
    kind: str
    profile: str | None
    timestamp: str | None
    occurred_ns: int | None
    received_ns: int
    runtime: str | None
    payload: str | None
    is_shortened: bool
    content_sha256: bytes


class Sample(msgspec.Struct, frozen=True):
    """One poll of an endpoint: its answer as JSON text in a settled order, or the error that came instead."""

    endpoint: str
    polled_ns: int
    body: str | None
    error: str | None = None


class Numbered(msgspec.Struct, frozen=True):
    """A new activity with its place in the event sequence of one boot of the server."""

    epoch: int
    seq: int
    activity: Activity


class Call(msgspec.Struct, gc=False):
    """One model call: what the sighting that won says, whose it is, and what follows from both.

    Of two sightings the higher `record_rank` counts. `rivals`: JSON of claims of other files that are as good; None:
    there are none.
    """

    call_id: str
    occurred_ns: int
    is_receipt_time: bool
    claim: Claim
    project: str | None = None
    session: str | None = None
    total_tokens: int | None = None
    computed_nusd: int | None = None
    uncached_nusd: int | None = None
    record_rank: int = 0
    position_id: int = 0
    position_offset: int = 0
    is_copied: bool = False
    origin_position_id: int = 0
    origin_offset: int = 0
    rivals: str | None = None
    latency_ms: int | None = None
    is_response_cache_hit: bool = False


Sighting = Call  # as one line tells of it: without total and costs, which `ledger.finish` adds


def call_of_row(row: Sequence[Any]) -> Call:
    """The call in a row of sql/store/stored_calls.sql."""
    call_id, occurred_ns, is_receipt_time, *rest = row
    return Call(call_id, occurred_ns, is_receipt_time, claim_of(rest[:_WORDS]), *rest[_WORDS:])


def claim_of(words: Sequence[Any]) -> Claim:
    """The claim of these words, those of its usage first."""
    of_usage = words[: len(Usage._fields)]
    return Claim(None if of_usage[0] is None else Usage(*of_usage), *words[len(Usage._fields) :])


def words_of(claim: Claim) -> list[Any]:
    """All that a claim with a usage says, its usage first."""
    return [*(claim.usage or ()), *claim[1:]]


_WORDS = len(Usage._fields) + len(Claim._fields) - 1


class Position(msgspec.Struct):
    """How far one file, or one stream (name ''), has been read."""

    position_id: int
    name: str
    device: int | None = None
    inode: int | None = None
    size_bytes: int | None = None
    mtime_ns: int | None = None
    offset_bytes: int | None = None
    head_bytes: int | None = None
    head_sha256: bytes | None = None
    first_mtime_ns: int | None = None
    tail_sha256: bytes | None = None
    is_current: bool = True
    state: str | None = None


class Batch(msgspec.Struct):
    """What is appended at once: rows, positions and the run's progress, all or nothing."""

    source_id: int
    run_id: int
    now_ns: int
    # msgspec makes a list anew for each batch
    calls: list[Call] = []  # each replaces what the ledger has of it
    new_calls: list[Call] = []  # the ledger has none of these: quicker to append
    activities: list[Numbered] = []
    snapshot: Snapshot | None = None
    daemon_events: list[DaemonEvent] = []
    samples: list[Sample] = []
    gaps: list[Gap] = []
    longer_gap: Gap | None = None  # the last gap of its kind goes on with it
    rejects: list[Reject] = []
    positions: list[Position] = []
    frames: int = 0
    events: int = 0
    connections: int = 0
    state: str | None = None  # of the run, and why it is in it; None: both unchanged
    error: str | None = None
    saturation: float | None = None
    last_event_ns: int | None = None

    @property
    def row_count(self) -> int:
        """How many rows it brings, of calls and of what was seen."""
        seen = len(self.activities) + len(self.daemon_events) + len(self.samples)
        return len(self.calls) + len(self.new_calls) + seen

"""Values of the model → rows of the ledger's tables, as the statements that put them there want them. Pure."""

from __future__ import annotations

from collections.abc import Sized
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

from ccostdb.model import Call, Claim, DaemonEvent, Gap, Numbered, Position, Snapshot, Usage

Row = tuple[Any, ...]
Context = tuple[str | None, ...]  # in the order of CONTEXT
CONTEXT = ("speed", "service_tier", "inference_geo", "entrypoint", "version", "git_branch")
_COLUMNS = (
    *("source_id", "model_id", "project_id", "agent_id", "session_id", "context_id"),
    *("call_id", "occurred_ns", "input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    *("cache_read_tokens", "web_searches", "agent_instance", "is_sidechain", "request_id", "total_tokens"),
    *("computed_nusd", "uncached_nusd", "record_rank", "position_id", "position_offset"),
    *("origin_position_id", "origin_offset"),
)
# What few calls have. Left out, a column costs an import nothing, and means NULL or 0, also where a row is replaced.
_RARE_COLUMNS = (
    *("is_receipt_time", "advisor", "status", "reported_text", "reported_nusd"),
    *("is_copied", "rivals", "latency_ms", "is_response_cache_hit"),
)
_NOTHING_RARE = (False, None, None, None, None, False, None, None, False)
_NO_USAGE = (None,) * len(Usage._fields)


@cache
def put_call(*, is_new: bool, is_rare: bool) -> str:
    """The statement for rows of `call`. A new one that is there all the same takes the transaction back."""
    columns = (*_COLUMNS, *_RARE_COLUMNS) if is_rare else _COLUMNS
    values = f"({', '.join(columns)}) values {places(columns)}"
    if is_new:
        return f"insert or rollback into call {values}"
    replaced = ", ".join(f"{name} = excluded.{name}" for name in (*_COLUMNS, *_RARE_COLUMNS) if name != "call_id")
    return f"insert into call {values} on conflict (call_id) do update set {replaced}"


def places(values: Sized) -> str:
    """`(?, ?, …)`, a place for each value. Bound, because a text with a NUL would be cut in a JSON list."""
    return f"({', '.join('?' * len(values))})"


gap_of = attrgetter(*Gap.__struct_fields__)
position_of = attrgetter(*Position.__struct_fields__)


class Ids(NamedTuple):
    """The ids of what calls have instead of names, as far as they are known; no name is id 0."""

    model: dict[str | None, int]
    project: dict[str | None, int]
    agent: dict[str | None, int]
    session: dict[str | None, int]
    context: dict[Context, int]

    @classmethod
    def none(cls) -> Ids:
        """Those of no name yet."""
        return cls({None: 0}, {None: 0}, {None: 0}, {None: 0}, {(None,) * len(CONTEXT): 0})


def call_rows(source_id: int, calls: list[Call], ids: Ids) -> tuple[list[Row], list[Row]]:
    """The rows of calls whose names all have ids: plain ones, and those that have what few calls have."""
    models, projects, agents, sessions, contexts = ids
    rows: list[Row] = []
    rare_rows: list[Row] = []
    for call in calls:
        # Made for each message of an import: taken apart at once, and one tuple, as its columns lie above.
        usage, model, agent, instance, is_sidechain, status, request, entry, version, branch, said, nusd = call.claim
        new, output, write_5m, write_1h, read, searches, speed, tier, geo, advisor = usage or _NO_USAGE
        row = (
            source_id, models[model], projects[call.project], agents[agent], sessions[call.session],
            contexts[speed, tier, geo, entry, version, branch], call.call_id, call.occurred_ns, new, output, write_5m,
            write_1h, read, searches, instance, is_sidechain, request, call.total_tokens,
            call.computed_nusd, call.uncached_nusd, call.record_rank, call.position_id, call.position_offset,
            call.origin_position_id, call.origin_offset,
        )  # fmt: skip
        rare = (
            call.is_receipt_time, advisor, status, said, nusd,
            call.is_copied, call.rivals, call.latency_ms, call.is_response_cache_hit,
        )  # fmt: skip
        if rare == _NOTHING_RARE:
            rows.append(row)
        else:
            rare_rows.append((*row, *rare))
    return rows, rare_rows


def context_of(claim: Claim) -> Context:
    """The circumstances of a request."""
    _, _, _, _, _, _, speed, tier, geo, _ = claim.usage or _NO_USAGE
    return speed, tier, geo, claim.entrypoint, claim.version, claim.git_branch


def activity_row(source_id: int, numbered: Numbered, now_ns: int) -> Row:
    event = numbered.activity
    is_unreadable = event.occurred_ns is None
    return (
        *(source_id, numbered.epoch, numbered.seq, event.timestamp),
        *(now_ns if is_unreadable else event.occurred_ns, is_unreadable, event.event_type, event.agent_name),
        *(event.model, event.tokens, event.latency_ms, event.status, event.cost_text, event.cost_nusd, event.raw),
    )


def daemon_event_row(event: DaemonEvent) -> Row:
    is_unreadable = event.occurred_ns is None
    return (
        *(event.event_id, event.family, event.kind, event.profile, event.timestamp),
        *(event.received_ns if is_unreadable else event.occurred_ns, is_unreadable, event.received_ns),
        *(event.runtime, event.payload, event.is_shortened, event.content_sha256),
    )


def snapshot_row(source_id: int, snapshot: Snapshot) -> Row:
    return (
        *(source_id, snapshot.received_ns, snapshot.last_updated_ns, snapshot.uptime_s, snapshot.calls),
        *(snapshot.cost_text, snapshot.cost_nusd, snapshot.models),
    )

"""Events → ledger rows: which sightings are one call, and what the call's row says. Pure.

Of several sightings the one with the higher rank wins, then the most output tokens; on a tie the later line of one
file, across files the greater usage text. Whose session it is comes from the original: a record without `forkedFrom`,
then of the older file, then of the smaller session id. Every rule is a maximum or minimum over the set of sightings,
so the order of arrival cannot matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any

from ccostdb.model import Activity, Call, Numbered, Record, Usage
from ccostdb.prices import PriceBook, provider_of

CALL_EVENTS = frozenset({"api_call", "cache_hit"})

_CLAIMED = (
    *("input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens"),
    *("web_searches", "speed", "service_tier", "inference_geo", "advisor"),
    *("model", "agent", "agent_instance", "is_sidechain", "status"),
    *("request_id", "entrypoint", "version", "git_branch", "reported_text", "reported_nusd"),
)  # what the winning record says: its usage, in the order of Usage, then its words
_claim_of = attrgetter(*_CLAIMED)
_usage_of = attrgetter(*_CLAIMED[:10])
_Claim = tuple[Any, ...]


def fold(
    stored: Mapping[str, Call], records: Iterable[Record], ages: Mapping[int, int], now_ns: int
) -> dict[str, Call]:
    """The calls that `records` make or change, by call id.

    `stored` holds the calls of these keys that the ledger has (they are changed in place); `ages` the mtime in ns of
    each file when it was first seen; `now_ns` stands in for a time that cannot be read.
    """
    calls: dict[str, Call] = {}
    for record in records:
        call = calls.get(record.key)
        if call is None:
            known = stored.get(record.key)
            if known is None:
                calls[record.key] = _call_of(record, now_ns)
                continue
            call = calls[record.key] = known
        _merge(call, record, ages)
    return calls


def _call_of(record: Record, now_ns: int) -> Call:
    is_unreadable = record.occurred_ns is None
    call = Call(record.key, now_ns if record.occurred_ns is None else record.occurred_ns, is_unreadable)
    _take_claim(call, record.position_id, record.offset, _claim(record))
    call.record_rank = record.rank
    _take_origin(call, record)
    return call


def _merge(call: Call, record: Record, ages: Mapping[int, int]) -> None:
    """One more sighting of a call."""
    if record.occurred_ns is not None and (call.is_receipt_time or record.occurred_ns < call.occurred_ns):
        call.occurred_ns, call.is_receipt_time = record.occurred_ns, False
    level = (record.rank, record.usage.output_tokens)
    best = (call.record_rank, call.output_tokens)
    if level > best:
        _take_claim(call, record.position_id, record.offset, _claim(record))
        call.record_rank = record.rank
        call.rivals = None
    elif level == best:
        _settle_tie(call, record)
    if _origin(record, ages) < _origin_of(call, ages):
        _take_origin(call, record)


def _settle_tie(call: Call, record: Record) -> None:
    """Several records with as many output tokens: each file claims its last one, the greatest usage text wins.

    The claims of other files are kept in `rivals`, because a later line may replace the winner's own.
    """
    if call.rivals is None and record.position_id == call.position_id:
        if record.offset >= call.position_offset:
            _take_claim(call, record.position_id, record.offset, _claim(record))
        return
    claims: dict[int, tuple[int, _Claim]] = {
        position: (offset, tuple(claim)) for position, offset, *claim in json.loads(call.rivals or "[]")
    }
    claims[call.position_id] = (call.position_offset, _claim_of(call))
    if record.offset < claims.get(record.position_id, (0, ()))[0]:
        return
    claims[record.position_id] = (record.offset, _claim(record))
    winner = max(claims, key=lambda position: (usage_text(claims[position][1]), -position))
    _take_claim(call, winner, *claims.pop(winner))
    rivals = [[position, offset, *claim] for position, (offset, claim) in sorted(claims.items())]
    call.rivals = json.dumps(rivals, separators=(",", ":")) if rivals else None


def usage_text(claim: _Claim) -> str:
    """A claim's usage as the API writes it, rebuilt from what is stored; its other words only break a tie."""
    new, output, write_5m, write_1h, read, *rest = claim
    return (
        f'{{"input_tokens":{new},"cache_creation_input_tokens":{write_5m + write_1h},'
        f'"cache_read_input_tokens":{read},"ephemeral_5m_input_tokens":{write_5m},'
        f'"ephemeral_1h_input_tokens":{write_1h},"output_tokens":{output},{rest!r}}}'
    )


def usage_of(call: Call) -> Usage:
    """The usage that a call's row holds. Only for calls whose tokens are split by kind."""
    return Usage._make(_usage_of(call))


def _claim(record: Record) -> _Claim:
    """What a record says, in the order of `_CLAIMED`."""
    return (
        *record.usage,
        record.model,
        record.agent,
        record.agent_instance,
        int(record.is_sidechain),  # as it comes back from the ledger, or equal claims would differ
        "error" if record.is_error else None,
        record.request_id,
        record.entrypoint,
        record.version,
        record.git_branch,
        record.reported_text,
        record.reported_nusd,
    )


def _take_claim(call: Call, position_id: int, offset: int, claim: _Claim) -> None:
    # Spelled out, because this runs for every message of an import: twice as fast as a loop of setattr.
    (
        call.input_tokens,
        call.output_tokens,
        call.cache_write_5m_tokens,
        call.cache_write_1h_tokens,
        call.cache_read_tokens,
        call.web_searches,
        call.speed,
        call.service_tier,
        call.inference_geo,
        call.advisor,
        call.model,
        call.agent,
        call.agent_instance,
        call.is_sidechain,
        call.status,
        call.request_id,
        call.entrypoint,
        call.version,
        call.git_branch,
        call.reported_text,
        call.reported_nusd,
    ) = claim
    call.position_id, call.position_offset = position_id, offset


def _take_origin(call: Call, record: Record) -> None:
    call.session, call.project = record.session, record.project
    call.is_copied = record.is_copied
    call.origin_position_id, call.origin_offset = record.position_id, record.offset


def _origin(record: Record, ages: Mapping[int, int]) -> tuple[bool, int, str, int]:
    return record.is_copied, ages[record.position_id], record.session or "", record.offset


def _origin_of(call: Call, ages: Mapping[int, int]) -> tuple[bool, int, str, int]:
    return call.is_copied, ages[call.origin_position_id], call.session or "", call.origin_offset


def finish(call: Call, book: PriceBook) -> Call:
    """The folded call with its total, its provider and its price: everything that follows from the rest."""
    usage = usage_of(call)
    call.total_tokens = sum(usage[:5])
    call.provider = provider_of(call.model)
    cost = book.cost(call.model, call.occurred_ns, usage)
    call.computed_nusd, call.uncached_nusd = cost.computed_nusd, cost.uncached_nusd
    return call


def call_of_activity(source_id: int, numbered: Numbered, received_ns: int) -> Call | None:
    """The call behind one of CCO's events; None for an event that is no call (`model_override`, unknown types).

    CCO sends one token total and a cost, no split: kinds, computed and uncached cost stay unknown.
    """
    event: Activity = numbered.activity
    if event.event_type not in CALL_EVENTS:
        return None
    is_hit = event.event_type == "cache_hit"
    return Call(
        call_id=f"cco:{source_id}:{numbered.epoch}:{numbered.seq:08d}",
        occurred_ns=received_ns if event.occurred_ns is None else event.occurred_ns,
        is_receipt_time=event.occurred_ns is None,
        model=event.model,
        provider=provider_of(event.model),
        agent=event.agent_name,
        total_tokens=event.tokens,
        latency_ms=event.latency_ms,
        status=event.status,
        is_response_cache_hit=is_hit,
        reported_nusd=event.cost_nusd,
        reported_text=event.cost_text,
    )

"""Events → ledger rows: which sightings are one call, and what the call's row says. Pure.

Of several sightings the one with the higher rank wins, then the most output tokens; on a tie the later line of one
file, across files the greater usage text. Whose session it is comes from the original: a record without `forkedFrom`,
then of the older file, then of the smaller session id. Every rule is a maximum or minimum over the set of sightings,
so the order of arrival cannot matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ccostdb.model import Activity, Call, Claim, Numbered, Record, Usage
from ccostdb.prices.book import PriceBook

_KINDS = len(Usage._fields)
CALL_EVENTS = frozenset({"api_call", "cache_hit"})


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
    return Call(
        record.key,
        now_ns if record.occurred_ns is None else record.occurred_ns,
        is_unreadable,
        record.claim,
        record.project,
        record.session,
        record_rank=record.rank,
        position_id=record.position_id,
        position_offset=record.offset,
        is_copied=record.is_copied,
        origin_position_id=record.position_id,
        origin_offset=record.offset,
    )


def _merge(call: Call, record: Record, ages: Mapping[int, int]) -> None:
    """One more sighting of a call."""
    if record.occurred_ns is not None and (call.is_receipt_time or record.occurred_ns < call.occurred_ns):
        call.occurred_ns, call.is_receipt_time = record.occurred_ns, False
    level = (record.rank, record.usage.output_tokens)
    best = (call.record_rank, usage_of(call).output_tokens)
    if level > best:
        _take_claim(call, record.position_id, record.offset, record.claim)
        call.record_rank = record.rank
        call.rivals = None
    elif level == best:
        _settle_tie(call, record)
    if _origin(record, ages) < _origin_of(call, ages):
        call.session, call.project = record.session, record.project
        call.is_copied = record.is_copied
        call.origin_position_id, call.origin_offset = record.position_id, record.offset


def _settle_tie(call: Call, record: Record) -> None:
    """Several records with as many output tokens: each file claims its last one, the greatest usage text wins.

    The claims of other files are kept in `rivals`, because a later line may replace the winner's own.
    """
    if call.rivals is None and record.position_id == call.position_id:
        if record.offset >= call.position_offset:
            _take_claim(call, record.position_id, record.offset, record.claim)
        return
    claims = {
        position: (offset, Claim(Usage(*words[:_KINDS]), *words[_KINDS:]))
        for position, offset, *words in json.loads(call.rivals or "[]")
    }
    claims[call.position_id] = (call.position_offset, call.claim)
    if record.position_id in claims and record.offset < claims[record.position_id][0]:
        return
    claims[record.position_id] = (record.offset, record.claim)
    winner = max(claims, key=lambda position: (usage_text(claims[position][1]), -position))
    _take_claim(call, winner, *claims.pop(winner))
    rivals = [[position, offset, *_words_of(claim)] for position, (offset, claim) in sorted(claims.items())]
    call.rivals = json.dumps(rivals, separators=(",", ":")) if rivals else None


def _take_claim(call: Call, position_id: int, offset: int, claim: Claim) -> None:
    call.claim, call.position_id, call.position_offset = claim, position_id, offset


def _words_of(claim: Claim) -> list[Any]:
    """All that a claim says, its usage first."""
    return [*(claim.usage or ()), *claim[1:]]


def usage_text(claim: Claim) -> str:
    """A claim's usage as the API writes it, rebuilt from what is stored; its other words only break a tie."""
    new, output, write_5m, write_1h, read, *rest = _words_of(claim)
    return (
        f'{{"input_tokens":{new},"cache_creation_input_tokens":{write_5m + write_1h},'
        f'"cache_read_input_tokens":{read},"ephemeral_5m_input_tokens":{write_5m},'
        f'"ephemeral_1h_input_tokens":{write_1h},"output_tokens":{output},{rest!r}}}'
    )


def usage_of(call: Call) -> Usage:
    """The usage of a call whose tokens are split by kind."""
    if call.claim.usage is None:
        raise ValueError(f"{call.call_id} has only a total of tokens")
    return call.claim.usage


def _origin(record: Record, ages: Mapping[int, int]) -> tuple[bool, int, str, int]:
    return record.is_copied, ages[record.position_id], record.session or "", record.offset


def _origin_of(call: Call, ages: Mapping[int, int]) -> tuple[bool, int, str, int]:
    return call.is_copied, ages[call.origin_position_id], call.session or "", call.origin_offset


def finish(call: Call, book: PriceBook) -> Call:
    """The folded call with its total and its price: everything that follows from the rest."""
    usage = usage_of(call)
    call.total_tokens = usage[0] + usage[1] + usage[2] + usage[3] + usage[4]
    call.computed_nusd, call.uncached_nusd = book.cost(call.claim.model, call.occurred_ns, usage)
    return call


def call_of_activity(source_id: int, numbered: Numbered, received_ns: int) -> Call | None:
    """The call behind one of CCO's events; None for an event that is no call (`model_override`, unknown types).

    CCO sends one token total and a cost, no split: kinds, computed and uncached cost stay unknown.
    """
    event: Activity = numbered.activity
    if event.event_type not in CALL_EVENTS:
        return None
    return Call(
        call_id=f"cco:{source_id}:{numbered.epoch}:{numbered.seq:08d}",
        occurred_ns=received_ns if event.occurred_ns is None else event.occurred_ns,
        is_receipt_time=event.occurred_ns is None,
        claim=Claim(
            None,
            event.model,
            event.agent_name,
            status=event.status,
            reported_text=event.cost_text,
            reported_nusd=event.cost_nusd,
        ),
        total_tokens=event.tokens,
        latency_ms=event.latency_ms,
        is_response_cache_hit=event.event_type == "cache_hit",
    )

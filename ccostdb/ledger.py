"""Events → ledger rows: which sightings are one call, and what the call's row says. Pure.

Of several sightings the one with the higher rank wins, then the most output tokens; on a tie the later line of one
file, across files the greater usage text. Whose session it is comes from the original: a sighting without `forkedFrom`,
then of the older file, then of the smaller session id. Every rule is a maximum or minimum over the set of sightings,
so the order of arrival cannot matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from ccostdb.model import Activity, Call, Claim, Numbered, Sighting, Usage, claim_of, words_of
from ccostdb.prices.book import PriceBook

CALL_EVENTS = frozenset({"api_call", "cache_hit"})


def fold(stored: Mapping[str, Call], sightings: Iterable[Sighting], ages: Mapping[int, int]) -> dict[str, Call]:
    """The calls that `sightings` make or change, by call id. Takes over what it is given: those are changed in place.

    `stored` holds the calls of these ids that the ledger has; `ages` the mtime in ns of each file when it was first
    seen.
    """
    calls: dict[str, Call] = {}
    for seen in sightings:
        call = calls.get(seen.call_id)
        if call is None:
            call = calls[seen.call_id] = stored.get(seen.call_id, seen)
        if call is not seen:
            _merge(call, seen, ages)
    return calls


def _merge(call: Call, seen: Sighting, ages: Mapping[int, int]) -> None:
    """One more sighting of a call."""
    if not seen.is_receipt_time and (call.is_receipt_time or seen.occurred_ns < call.occurred_ns):
        call.occurred_ns, call.is_receipt_time = seen.occurred_ns, False
    level = (seen.record_rank, usage_of(seen).output_tokens)
    best = (call.record_rank, usage_of(call).output_tokens)
    if level > best:
        _take_claim(call, seen.position_id, seen.position_offset, seen.claim)
        call.record_rank = seen.record_rank
        call.rivals = None
    elif level == best:
        _settle_tie(call, seen)
    if _origin(seen, ages) < _origin(call, ages):
        call.session, call.project = seen.session, seen.project
        call.is_copied = seen.is_copied
        call.origin_position_id, call.origin_offset = seen.origin_position_id, seen.origin_offset


def _settle_tie(call: Call, seen: Sighting) -> None:
    """Several sightings with as many output tokens: each file claims its last one, the greatest usage text wins.

    The claims of other files are kept in `rivals`, because a later line may replace the winner's own.
    """
    if call.rivals is None and seen.position_id == call.position_id:
        if seen.position_offset >= call.position_offset:
            _take_claim(call, seen.position_id, seen.position_offset, seen.claim)
        return
    claims = {position: (offset, claim_of(words)) for position, offset, *words in json.loads(call.rivals or "[]")}
    claims[call.position_id] = (call.position_offset, call.claim)
    if seen.position_id in claims and seen.position_offset < claims[seen.position_id][0]:
        return
    claims[seen.position_id] = (seen.position_offset, seen.claim)
    winner = max(claims, key=lambda position: (usage_text(claims[position][1]), -position))
    _take_claim(call, winner, *claims.pop(winner))
    rivals = [[position, offset, *words_of(claim)] for position, (offset, claim) in sorted(claims.items())]
    call.rivals = json.dumps(rivals, separators=(",", ":")) if rivals else None


def _take_claim(call: Call, position_id: int, offset: int, claim: Claim) -> None:
    call.claim, call.position_id, call.position_offset = claim, position_id, offset


def usage_text(claim: Claim) -> str:
    """A claim's usage as the API writes it, rebuilt from what is stored; its other words only break a tie."""
    new, output, write_5m, write_1h, read, *rest = words_of(claim)
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


def _origin(call: Call, ages: Mapping[int, int]) -> tuple[bool, int, str, int]:
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

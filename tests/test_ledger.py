"""Which sightings are one call, and what its row says: whatever the order in which they come."""

import json
from collections.abc import Iterable
from copy import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transcripts import line

from ccostdb import ledger
from ccostdb.ledger import usage_of
from ccostdb.model import NO_COST, Activity, Call, Numbered, Sighting, Usage
from ccostdb.prices.book import PriceBook
from ccostdb.sources import claude_code
from ccostdb.sources.claude_code import parse

AGES = {1: 100, 2: 200, 3: 300}
FIRST = "2026-08-12T12:00:00.000Z"
LATER = "2026-08-12T12:00:05.000Z"
UNREADABLE = ["never", "2026-02-30T12:00:00.000Z", "1969-12-31T23:59:59.999Z"]  # the latter two look like times
UNSORTED = [
    "2026-08-12 12:00:03.000Z",
    "2026-08-12t12:00:02.000Z",
    "2026-08-12T12:00:60.500Z",
    "2026-08-12T12:01:00.000Z",
]


def sighting(position: int = 1, offset: int = 0, now_ns: int = 0, **changes: object) -> Sighting:
    found = parse(json.dumps(line(**changes)).encode(), position, offset, None, now_ns)  # type: ignore[arg-type]
    assert found is not None
    return found


def fold(*seen: Sighting) -> Call:
    (call,) = fold_all({}, seen).values()
    return call


def fold_all(stored: dict[str, Call], seen: Iterable[Sighting], ages: dict[int, int] = AGES) -> dict[str, Call]:
    """`fold` takes over what it is given; these stay as they are."""
    return ledger.fold(stored, map(copy, seen), ages)


def test_the_line_with_the_most_output_wins_and_the_earliest_says_when():
    call = fold(sighting(output=1, at=FIRST), sighting(offset=1, output=90, at=LATER))
    assert (usage_of(call).output_tokens, call.occurred_ns) == (90, 1_786_536_000_000_000_000)


def test_on_a_tie_the_later_line_of_one_file_wins():
    early, late = sighting(usage={"input_tokens": 9}), sighting(offset=1, usage={"input_tokens": 2})
    assert usage_of(fold(early, late)).input_tokens == usage_of(fold(late, early)).input_tokens == 2


def test_on_a_tie_across_files_the_greater_usage_text_wins():
    a, b = sighting(1, usage={"input_tokens": 5}), sighting(2, usage={"input_tokens": 7})
    assert usage_of(fold(a, b)).input_tokens == usage_of(fold(b, a)).input_tokens == 7


def test_a_line_of_its_own_beats_a_sidechain_line_with_more_output():
    own, side = sighting(output=10), sighting(2, output=500, isSidechain=True, request_id="req_2")
    call = fold(side, own)
    assert (usage_of(call).output_tokens, call.claim.is_sidechain, call.claim.agent) == (10, 0, None)


def test_the_session_is_the_originals_not_a_forks_even_if_the_fork_comes_first():
    fork = sighting(1, session="a-fork", forkedFrom={"sessionId": "b"})
    assert fold(fork, sighting(2, session="b")).session == "b"


def test_without_a_mark_the_older_file_is_the_original_then_the_smaller_session():
    assert fold(sighting(2, session="a"), sighting(1, session="b")).session == "b"
    ages = {1: 100, 2: 100}
    (call,) = fold_all({}, [sighting(1, session="b"), sighting(2, session="a")], ages).values()
    assert call.session == "a"


def test_a_call_without_a_readable_time_is_put_where_it_was_received_until_a_line_knows_better():
    seen = [sighting(at="soon", now_ns=77), sighting(offset=1, at=LATER)]
    call = fold(seen[0])
    assert (call.occurred_ns, call.is_receipt_time) == (77, True)
    call = fold(*seen)
    assert (call.occurred_ns, call.is_receipt_time) == (1_786_536_005_000_000_000, False)


def as_stored(call: Call) -> Call:
    """The call as it comes back from SQLite, which has no booleans."""
    back = copy(call)
    for name in call.__struct_fields__:
        if isinstance(getattr(back, name), bool):
            setattr(back, name, int(getattr(back, name)))
    return back


@st.composite
def sightings(draw: st.DrawFn) -> list[Sighting]:
    """Sightings of one call in up to three files, with ties wherever possible."""
    places = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=7, unique=True))
    return [
        sighting(
            position,
            offset,
            output=draw(st.sampled_from([1, 2])),
            usage={"input_tokens": draw(st.sampled_from([1, 9, 10]))},
            isSidechain=draw(st.booleans()),
            session=draw(st.sampled_from("ab")),
            at=draw(st.sampled_from([FIRST, LATER, "never"])),
            version=draw(st.sampled_from(["1", "2"])),
            **({"forkedFrom": "x"} if draw(st.booleans()) else {}),
        )
        for position, offset in places
    ]


@settings(max_examples=400)
@given(st.data(), sightings())
def test_any_order_in_any_pieces_gives_the_same_call(data, seen):
    whole = fold(*seen)
    shuffled = data.draw(st.permutations(seen))
    cut = data.draw(st.integers(0, len(seen)))
    stored = fold_all({}, shuffled[:cut])
    again = data.draw(st.lists(st.sampled_from(seen), max_size=3))  # a file is read again
    stored = {name: as_stored(call) for name, call in stored.items()}
    folded = {**stored, **fold_all(stored, [*shuffled[cut:], *again])}
    assert list(folded.values()) == [whole]


@given(sightings())
def test_the_winner_is_what_the_rules_say_when_read_naively(seen):
    best = max((one.record_rank, usage_of(one).output_tokens) for one in seen)
    tied = [one for one in seen if (one.record_rank, usage_of(one).output_tokens) == best]
    last_of_each = {one.position_id: one for one in sorted(tied, key=lambda one: one.position_offset)}
    texts = [f"{usage_of(one).input_tokens}" for one in last_of_each.values()]
    assert str(usage_of(fold(*seen)).input_tokens) == max(texts)


@st.composite
def files_of_lines(draw: st.DrawFn) -> list[bytes]:
    """Lines of one file that often repeat the one before, with every kind of time that a transcript may have."""
    offset_times = ["2026-08-12T14:00:01.000+02:00", "2026-08-12T08:00:00-05:00"]
    lines = []
    for _ in range(draw(st.integers(1, 6))):
        each = line(
            draw(st.sampled_from(["msg_01" + "A" * 24, "gen-" + "1" * 30])),
            draw(st.sampled_from([1, 2])),
            at=draw(
                st.sampled_from([FIRST, LATER, *offset_times, "2026-08-12T12:00:03Z", *UNREADABLE, *UNSORTED, None])
            ),
            request_id=draw(st.sampled_from(["req_1", None])),
            session=draw(st.sampled_from("ab")),
            cwd=draw(st.sampled_from(["/a", "/b"])),
            isSidechain=draw(st.sampled_from([False, False, True])),
            version=draw(st.sampled_from(["1", "2"])),
        )
        if each["timestamp"] is None and draw(st.booleans()):
            del each["timestamp"]
        lines.append(json.dumps(each).encode())
    return lines


@settings(max_examples=400)
@given(files_of_lines())
def test_a_whole_file_gives_the_same_calls_as_every_line_by_itself(lines):
    numbered = list(enumerate(lines))
    whole = list(claude_code.sightings(numbered, 1, None, 0, lambda offset, why: None))
    single = [seen for offset, each in numbered if (seen := parse(each, 1, offset, None, 0))]
    calls = [fold_all({}, seen) for seen in (whole, single)]
    for call in (*calls[0].values(), *calls[1].values()):
        call.origin_offset = 0  # of several lines that agree on everything about their origin, any
    assert calls[0] == calls[1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        *((bad, LATER) for bad in UNREADABLE),
        ("2026-08-12 12:00:05.000Z", "2026-08-12T12:00:01.000Z"),
        ("2026-08-12T12:00:05.000Z", "2026-08-12t12:00:01.000Z"),
        ("2026-08-12T12:00:60.999Z", "2026-08-12T12:01:00.000Z"),
        ("1970-01-01T00:00:00.000Z", LATER),
    ],
)
def test_the_time_of_a_streamed_answer_is_the_earliest_that_can_be_read(first, second):
    lines = [json.dumps(line(output=number, at=at)).encode() for number, at in enumerate((first, second), start=1)]
    at_once = fold(*claude_code.sightings(enumerate(lines), 1, None, 7, lambda offset, why: None))
    each = [parse(one, 1, offset, None, 7) for offset, one in enumerate(lines)]
    assert at_once.occurred_ns == fold(*(one for one in each if one)).occurred_ns
    assert not at_once.is_receipt_time


def test_a_finished_call_has_its_total_and_no_price_from_an_empty_book():
    call = ledger.finish(fold(sighting(usage={"cache_read_input_tokens": 7})), PriceBook([]))
    assert call.total_tokens == 20
    assert (call.computed_nusd, call.uncached_nusd) == (NO_COST.computed_nusd, NO_COST.uncached_nusd)
    assert usage_of(call) == Usage(3, 10, 0, 0, 7)


# --- CCO ---


def event(event_type: str, **changes: object) -> Numbered:
    words = {"timestamp": FIRST, "occurred_ns": 5, "agent_name": "tester", "model": "claude-opus-4", "tokens": 150,
             "latency_ms": 12, "status": "success", "cost_text": "0.0", "cost_nusd": 0, **changes}  # fmt: skip
    return Numbered(2, 7, Activity(identity="i", event_type=event_type, **words))  # type: ignore[arg-type]


def test_an_api_call_is_a_call_with_a_total_and_no_kinds():
    call = ledger.call_of_activity(3, event("api_call", cost_text="0.00525", cost_nusd=5_250_000), 9)
    assert call is not None
    assert (call.call_id, call.occurred_ns, call.total_tokens, call.claim.usage) == ("cco:3:2:00000007", 5, 150, None)
    assert (call.claim.reported_nusd, call.claim.reported_text, call.computed_nusd) == (5_250_000, "0.00525", None)
    assert (call.claim.agent, call.is_response_cache_hit) == ("tester", False)


def test_a_cache_hit_is_a_call_that_cost_a_real_zero():
    call = ledger.call_of_activity(3, event("cache_hit"), 9)
    assert call is not None
    assert (call.is_response_cache_hit, call.claim.reported_nusd, call.uncached_nusd) == (True, 0, None)


def test_other_events_make_no_call():
    assert [ledger.call_of_activity(3, event(kind), 9) for kind in ("model_override", "error", "")] == [None] * 3


def test_an_event_without_a_readable_time_is_put_where_it_was_received():
    call = ledger.call_of_activity(3, event("api_call", occurred_ns=None), 9)
    assert call is not None
    assert (call.occurred_ns, call.is_receipt_time) == (9, True)

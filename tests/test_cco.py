"""What CCO's frames mean."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccostdb.errors import Rejected
from ccostdb.frames import sse_events
from ccostdb.model import Activity, Snapshot, SseEvent
from ccostdb.sources.cco import MAX_CALLS, MAX_COST_USD, MAX_LATENCY_MS, MAX_TOKENS, MAX_TOTAL_USD, parse

CAPTURES = Path(__file__).parent / "data" / "cco"
EVENT = {
    "timestamp": "2026-11-21T05:02:07.173389827+00:00",
    "event_type": "api_call",
    "agent_name": None,
    "model": "claude-opus-4",
    "tokens": 150,
    "latency_ms": 0,
    "status": "success",
    "cost": 0.00525,
}


def snapshot_of(text: str) -> Snapshot:
    return parse(SseEvent("analytics", text), 7)


def activity_of(text: str) -> Activity:
    activity = snapshot_of(f'{{"activity": [{text}]}}').activity
    assert activity is not None
    return activity[0]


def with_field(name: str, text: str) -> Activity:
    """The usual event, with one field written so."""
    return activity_of(json.dumps({**EVENT, name: "HERE"}).replace('"HERE"', text))


# --- bodies


def test_the_current_body() -> None:
    body = {
        "project": {"cost": 0.01575, "tokens": 9, "calls": 3, "last_updated": "2025-11-17T22:55:03.123456789+00:00"},
        "machine": {"cpu": "N/A", "uptime": 125, "process_count": 1},
        "claude_metrics": {"total_cost": 1e-6},
        "activity": [EVENT],
        "chart_data": {},
    }
    assert snapshot_of(json.dumps(body)) == Snapshot(
        received_ns=7,
        last_updated_ns=1763420103123456789,
        uptime_s=125.0,
        calls=3,
        cost_text="0.01575",
        cost_nusd=15_750_000,
        activity=(
            Activity(
                identity=json.dumps(list(EVENT.values()), separators=(",", ":")),
                timestamp="2026-11-21T05:02:07.173389827+00:00",
                occurred_ns=1795237327173389827,
                event_type="api_call",
                agent_name=None,
                model="claude-opus-4",
                tokens=150,
                latency_ms=0,
                status="success",
                cost_text="0.00525",
                cost_nusd=5_250_000,
            ),
        ),
    )


def test_events_of_six_fields_have_neither_status_nor_cost() -> None:
    six = {name: value for name, value in EVENT.items() if name not in ("status", "cost")}
    activity = activity_of(json.dumps(six))
    assert (activity.status, activity.cost_text, activity.cost_nusd, activity.raw) == (None, None, None, None)


def test_flat_statistics_have_models_and_no_activity() -> None:
    snapshot = snapshot_of(
        '{"cache":{"hits":1},"models":[{"model":"gpt-4","actual_cost":0.10}],"totals":{"requests":2,"actual_cost":0.10}}'
    )
    assert snapshot.activity is None
    assert (snapshot.calls, snapshot.cost_text, snapshot.cost_nusd) == (2, "0.10", 100_000_000)
    assert snapshot.models == '[{"model":"gpt-4","actual_cost":0.10}]'


@pytest.mark.parametrize("capture", sorted(CAPTURES.glob("*/*.sse")), ids=lambda path: path.parent.name)
def test_every_frame_of_the_real_server_is_understood_whole(capture: Path) -> None:
    for event in sse_events([capture.read_bytes()]):
        snapshot = parse(event, 7)
        assert snapshot.rejects == ()
        assert None not in (snapshot.calls, snapshot.cost_nusd, snapshot.uptime_s, snapshot.last_updated_ns)
        for activity in snapshot.activity or ():
            assert activity.raw is None
            assert activity.occurred_ns is not None
            assert (activity.cost_nusd is None) == (activity.event_type == "model_override")


@pytest.mark.parametrize("event_type", ["error", "message", "Analytics", "tick"])
def test_other_events_are_rejected_and_not_read(event_type: str) -> None:
    data = '{"error": "Serialization failed: "no" JSON"}' * 20
    with pytest.raises(Rejected) as caught:
        parse(SseEvent(event_type, data), 7)
    assert (caught.value.reason, caught.value.excerpt) == (f'event "{event_type}"', data[:500])


def test_the_name_of_an_event_is_repeated_shortened_and_printable() -> None:
    with pytest.raises(Rejected) as caught:
        parse(SseEvent("\x1b[2J\u202e" + "x" * 1000, ""), 7)
    assert caught.value.reason == 'event "�[2J�' + "x" * 35 + '"'


def test_what_cannot_be_read_has_one_reason_wherever_it_breaks() -> None:
    reasons = set()
    for text in ("{", '{"a" 1}', '{"a": "' + "x" * 99, "[1, 2", ""):
        with pytest.raises(Rejected) as caught:
            snapshot_of(text)
        reasons.add(caught.value.reason)
    assert reasons == {"no readable JSON"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "null", '"text"', "NaN", "{}", '{"totals": 7}', "[" * 100_000, '{"a":' * 100_000, "{'a': 1}"],
    ids=lambda text: text[:12] or "nothing",
)
def test_a_document_of_no_known_shape_is_rejected_with_its_beginning(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse(SseEvent("analytics", text), 7)
    assert caught.value.excerpt == text[:500]
    assert len(caught.value.reason) <= 200


def test_an_excerpt_is_cut_between_characters() -> None:
    with pytest.raises(Rejected) as caught:
        parse(SseEvent("analytics", "x" + "€" * 300), 7)
    assert caught.value.excerpt == "x" + "€" * 166


def test_deep_nesting_in_an_element_rejects_the_frame() -> None:
    with pytest.raises(Rejected, match="nested too deeply"):
        activity_of('{"extra":' + "[" * 5000 + "]" * 5000 + "}")


def test_more_activities_than_a_server_can_hold_reject_the_frame() -> None:
    assert len(snapshot_of('{"activity": [' + ",".join(["{}"] * 1000) + "]}").activity or ()) == 1000
    with pytest.raises(Rejected, match="more than 1000 activities"):
        snapshot_of('{"activity": [' + ",".join(["{}"] * 1001) + "]}")


def test_elements_that_are_no_objects_are_rejected_one_by_one() -> None:
    snapshot = snapshot_of(json.dumps({"activity": [None, EVENT, "é" * 400, [1.50]]}))
    assert len(snapshot.activity or ()) == 1
    assert [(reject.at_ns, reject.excerpt and len(reject.excerpt)) for reject in snapshot.rejects] == [
        (7, 4),
        (7, 500),
        (7, 5),
    ]


# --- fields


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("0", 0), ("3.0", 3), ("1e3", 1000), ("-0", 0), ("-0.0", 0), (str(MAX_TOKENS), MAX_TOKENS), ("1E+2", 100)],
)
def test_a_whole_number_is_read_however_it_is_written(text: str, tokens: int) -> None:
    activity = with_field("tokens", text)
    assert (activity.tokens, activity.raw) == (tokens, None)


@pytest.mark.parametrize("name", ["tokens", "latency_ms"])
@pytest.mark.parametrize(
    "text",
    [
        *("true", "false", '"150"', "[]", "{}", "-1", "1.5", "1e-5", "NaN", "Infinity", "-Infinity"),
        *(str(MAX_LATENCY_MS + 1), str(2**63), str(2**64), "1e400", "1e999999999999999999999", "9" * 5000),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_count_costs_its_field_and_the_element_keeps_its_json(name: str, text: str) -> None:
    activity = with_field(name, text)
    assert getattr(activity, name) is None
    assert activity.raw == json.dumps({**EVENT, name: "HERE"}, separators=(",", ":")).replace('"HERE"', text)
    assert (activity.model, activity.cost_nusd) == ("claude-opus-4", 5_250_000)


@pytest.mark.parametrize("name", ["timestamp", "event_type", "agent_name", "model", "status"])
@pytest.mark.parametrize("text", ["7", "true", "[]", '"\\ud800"', '"' + "x" * 513 + '"'], ids=lambda text: text[:10])
def test_what_is_no_text_costs_its_field(name: str, text: str) -> None:
    activity = with_field(name, text)
    assert getattr(activity, name) is None
    assert activity.raw is not None
    assert text in activity.raw


def test_a_whole_surrogate_pair_is_text() -> None:
    assert with_field("model", '"\\ud834\\udd1e"').model == "𝄞"


@pytest.mark.parametrize("text", ["yesterday", "", "2026-11-21T05:02:07", "1970-01-01T00:10:00+01:00"])
def test_a_time_that_cannot_be_read_is_kept_as_text(text: str) -> None:
    activity = with_field("timestamp", f'"{text}"')
    assert (activity.timestamp, activity.occurred_ns, activity.raw) == (text, None, None)


def test_fields_that_are_not_known_are_kept_beside() -> None:
    assert activity_of('{"model":"m","extra":[1.50,null,"é"]}').raw == '{"model":"m","extra":[1.50,null,"\\u00e9"]}'


def test_json_that_is_too_big_to_keep_becomes_its_size_and_hash() -> None:
    raw = json.loads(activity_of(json.dumps({"extra": "x" * 100_000})).raw or "")
    assert raw["bytes"] == 100_012
    assert len(raw["sha256"]) == 64


@pytest.mark.parametrize(
    ("text", "nusd"),
    [
        ("0.0010500000000000002", 1_050_000),
        ("0.34274999999999994", 342_750_000),
        ("-0.0", 0),
        ("0", 0),
        ("1e-6", 1000),
        ("5e-10", 0),
        ("1.5e-9", 2),
        ("2.5e-9", 2),
        ("2.5000000000000001e-9", 3),
        ("-1e-17", 0),
        ("1e-999999", 0),
        (str(MAX_COST_USD), MAX_COST_USD * 10**9),
    ],
)
def test_money_is_exact_and_rounded_once_half_to_even(text: str, nusd: int) -> None:
    activity = with_field("cost", text)
    assert (activity.cost_text, activity.cost_nusd, activity.raw) == (text, nusd, None)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1e999", "-0.5", "true", '"1.0"', "1000000000.000000001", "[]"])
def test_what_is_no_money_is_unknown_and_not_0(text: str) -> None:
    activity = with_field("cost", text)
    assert (activity.cost_text, activity.cost_nusd) == (None, None)
    assert activity.raw is not None
    snapshot = snapshot_of(f'{{"activity": [], "project": {{"cost": {text}, "calls": 3}}}}')
    assert (snapshot.cost_text, snapshot.cost_nusd, snapshot.calls) == (None, None, 3)


@pytest.mark.parametrize(
    ("name", "read_as", "most"),
    [
        ("tokens", "tokens", MAX_TOKENS),
        ("latency_ms", "latency_ms", MAX_LATENCY_MS),
        ("cost", "cost_text", MAX_COST_USD),
    ],
)
def test_what_no_call_can_have_costs_its_field_and_the_element_keeps_its_json(
    name: str, read_as: str, most: int
) -> None:
    assert str(getattr(with_field(name, str(most)), read_as)) == str(most)
    beyond = with_field(name, str(most + 1))
    assert getattr(beyond, read_as) is None
    assert f'"{name}":{most + 1}' in (beyond.raw or "")


@pytest.mark.parametrize(
    "body",
    ['{"activity": [], "project": {"calls": %d, "cost": %d}}', '{"totals": {"requests": %d, "actual_cost": %d}}'],
    ids=["current", "flat"],
)
def test_counters_that_no_server_can_have_are_unknown(body: str) -> None:
    most = snapshot_of(body % (MAX_CALLS, MAX_TOTAL_USD))
    assert (most.calls, most.cost_nusd) == (MAX_CALLS, MAX_TOTAL_USD * 10**9)
    beyond = snapshot_of(body % (MAX_CALLS + 1, MAX_TOTAL_USD + 1))
    assert (beyond.calls, beyond.cost_text, beyond.cost_nusd) == (None, None, None)


@given(st.floats(min_value=0, max_value=MAX_COST_USD))
def test_any_double_is_read_to_the_nano_dollar(cost: float) -> None:
    exact = Decimal(json.dumps(cost)).quantize(Decimal("1e-9"), ROUND_HALF_EVEN)
    assert with_field("cost", json.dumps(cost)).cost_nusd == int(exact * 10**9)


# --- identity


def test_identity_is_the_text_of_the_fields() -> None:
    identities = [with_field("tokens", text).identity for text in ("1", "1.0", "true", '"1"', "null", "NaN", "1e0")]
    assert len(set(identities)) == 7
    assert with_field("cost", "NaN").identity == with_field("cost", "NaN").identity
    assert with_field("model", '"\\u0061"').identity == with_field("model", '"a"').identity


def test_identity_leaves_out_other_fields_and_the_order_of_all() -> None:
    turned = dict(reversed([*EVENT.items(), ("extra", 1)]))
    assert activity_of(json.dumps(turned)).identity == activity_of(json.dumps(EVENT)).identity


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("project", "machine", "activity", "totals", "models")


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        st.dictionaries(st.sampled_from(("calls", "cost", "last_updated", "uptime", "requests", "actual_cost")), JSON)
        | st.lists(st.dictionaries(st.sampled_from((*EVENT, "extra")), JSON) | JSON, max_size=4)
        | JSON,
    )
)
def test_no_body_stops_the_parser_and_what_it_gives_can_be_stored(body: dict[str, Any]) -> None:
    try:
        snapshot = snapshot_of(json.dumps(body))
    except Rejected:
        return
    texts = [snapshot.cost_text, snapshot.models, *(reject.excerpt for reject in snapshot.rejects)]
    numbers = [snapshot.calls, snapshot.cost_nusd]  # each small enough to be added up in SQLite
    for each in snapshot.activity or ():
        texts += [each.timestamp, each.event_type, each.agent_name, each.model, each.status, each.cost_text, each.raw]
        numbers += [each.tokens, each.latency_ms, each.cost_nusd]
    assert all(text is None or text.encode() is not None for text in texts)
    assert all(number is None or 0 <= number <= 10**18 for number in numbers)
    assert snapshot.uptime_s is None or snapshot.uptime_s == int(snapshot.uptime_s) < 2**62

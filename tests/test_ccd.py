"""What a daemon event means: the real captures, any JSON, and the bounds of what is kept."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccostdb.clock import parse_ns
from ccostdb.errors import Rejected
from ccostdb.frames import sse_events
from ccostdb.model import DaemonEvent
from ccostdb.settings import Settings
from ccostdb.sources.ccd import conflict, parse
from ccostdb.sources.json_bounds import kept_json, read_json

DATA = Path(__file__).parent / "data" / "ccd"
CAPTURES = sorted(DATA.glob("*.sse"))
SETTINGS = Settings(Path("x"))
LARGE = SETTINGS.payload_max_bytes
HEAD = '"event_id": "E1", "family": "runtime.status", "kind": "start_session"'


def read(text: str, **more: Any) -> DaemonEvent:
    return parse(text, 7, Settings(Path("x"), **more))


def with_payload(payload: object, **more: Any) -> DaemonEvent:
    return read(json.dumps({"event_id": "E1", "family": "f", "kind": "k", "payload": payload}), **more)


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_every_event_of_the_real_daemon_is_kept_whole(path: Path) -> None:
    frames = list(sse_events([path.read_bytes()]))
    assert len(frames) >= 15
    for frame in frames:
        sent, found = json.loads(frame.data), read(frame.data)
        assert (found.event_id, found.family) == (frame.id, frame.type) == (sent["event_id"], sent["family"])
        assert (found.kind, found.profile, found.timestamp) == (sent["kind"], sent["profile"], sent["timestamp"])
        assert json.loads(found.runtime or "") == sent["runtime"]
        assert json.loads(found.payload or "") == sent["payload"]
        assert (found.is_shortened, found.received_ns) == (False, 7)
        assert found.occurred_ns == parse_ns(sent["timestamp"]) is not None


@pytest.mark.parametrize("separator", ["\u2028", "\u0085", "\u2029"])
def test_a_raw_line_separator_inside_the_data_is_text(separator: str) -> None:
    sent = f'{{{HEAD}, "payload": {{"text": "one{separator}two"}}}}'
    (frame,) = sse_events([f"event: any\ndata: {sent}\n\n".encode()])
    assert json.loads(read(frame.data).payload or "") == {"text": f"one{separator}two"}


def test_what_sqlite_cannot_give_back_is_replaced_in_a_text_and_said_in_json() -> None:
    found = read(f'{{{HEAD}, "profile": "a\\u0000b\\ud800", "payload": "a\\u0000b\\ud800"}}')
    assert (found.profile, found.payload) == ("a�b�", '"a\\u0000b�"')


@pytest.mark.parametrize("payload", [None, True, 0, -0.5, "", "text", [], [1, [2]], {}, {"a": {"b": None}}])
def test_runtime_and_payload_may_be_any_json(payload: object) -> None:
    found = read(json.dumps({"event_id": "E1", "family": "f", "kind": "k", "payload": payload, "runtime": payload}))
    assert json.loads(found.payload or "") == json.loads(found.runtime or "") == payload


def test_what_is_not_sent_is_unknown() -> None:
    found = read(f"{{{HEAD}}}")
    assert (found.profile, found.timestamp, found.occurred_ns, found.runtime, found.payload) == (None,) * 5


def test_a_timestamp_that_cannot_be_read_is_kept_as_sent() -> None:
    found = read(f'{{{HEAD}, "timestamp": "yesterday"}}')
    assert (found.timestamp, found.occurred_ns) == ("yesterday", None)
    assert read(f'{{{HEAD}, "timestamp": 1795237154}}').timestamp == "1795237154"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no readable JSON"),
        ("{torn", "no readable JSON"),
        ("[" * 100_000, "JSON that is nested too deeply"),
        ('["secret"]', "JSON that is no object"),
        ('{"family": "f", "kind": "k", "payload": "secret"}', "an event without event_id"),
        ('{"event_id": "", "family": "f", "kind": "k"}', "an event without event_id"),
        ('{"event_id": 5, "family": "f", "kind": "k"}', "an event whose event_id is no text"),
        ('{"event_id": "E1", "kind": "k"}', "an event without family"),
        ('{"event_id": "E1", "family": "f", "data": "secret"}', "an event without kind"),
        (json.dumps({"event_id": "E" * 201}), "an event whose event_id is over 200 characters"),
    ],
)
def test_what_is_no_event_is_rejected_with_a_reason_and_nothing_of_its_payload(text: str, reason: str) -> None:
    with pytest.raises(Rejected) as raised:
        read(text)
    assert raised.value.reason == reason
    assert "secret" not in str(raised.value.excerpt)


def test_a_rejects_excerpt_says_what_sort_of_event_it_is_in_few_characters() -> None:
    with pytest.raises(Rejected) as raised:
        read(json.dumps({"family": "f" * 5000, "kind": "a\x1b[2J", "payload": "secret"}))
    assert raised.value.excerpt == "f" * 40 + " a�[2J"


# --- identity


def test_the_order_of_keys_and_white_space_are_no_other_content() -> None:
    one = read(f'{{{HEAD}, "payload": {{"a": 1, "b": [2, 3]}}}}')
    other = read(f'{{"payload":{{"b":[2,3],"a":1}},{HEAD.replace(" ", "")}}}')
    assert one.content_sha256 == other.content_sha256


@pytest.mark.parametrize(
    "change", ['"payload": {"a": 2}', '"payload": {"a": "1"}', '"payload": {"a": 1}, "runtime": {}', '"runtime": {}']
)
def test_any_other_word_is_another_content(change: str) -> None:
    assert read(f'{{{HEAD}, "payload": {{"a": 1}}}}').content_sha256 != read(f"{{{HEAD}, {change}}}").content_sha256


def test_a_shortened_payload_still_tells_its_contents_apart() -> None:
    one, other = with_payload("x" * LARGE + "1"), with_payload("x" * LARGE + "2")
    assert one.is_shortened
    assert one.content_sha256 != other.content_sha256


def test_a_conflict_names_the_event() -> None:
    excerpt = conflict(read(f"{{{HEAD}}}")).excerpt or ""
    assert excerpt.startswith("E1: runtime.status start_session, SHA-256 ")


# --- bounds


def test_a_payload_of_the_largest_size_is_kept_whole() -> None:
    found = with_payload("x" * (LARGE - 2))
    assert (len(found.payload or ""), found.is_shortened) == (LARGE, False)


def test_the_long_texts_of_a_larger_payload_become_their_length_and_hash() -> None:
    long, short = "é" * LARGE, "y" * 200
    found = with_payload({"long": long, "short": short, "list": [long], "z" * 201: 1})
    digest, key_digest = (hashlib.sha256(each.encode()).hexdigest() for each in (long, "z" * 201))
    named = f"[{LARGE} characters, SHA-256 {digest}]"
    assert found.is_shortened
    assert json.loads(found.payload or "") == {
        "long": named,
        "short": short,
        "list": [named],
        f"[201 characters, SHA-256 {key_digest}]": 1,
    }


def test_texts_of_every_payload_are_shortened_where_a_person_says_so() -> None:
    payload = {"memory": "secret " * 50, "session_id": "ses_1"}
    assert not with_payload(payload).is_shortened
    found = with_payload(payload, payload_texts="always")
    assert "secret" not in (found.payload or "")
    assert json.loads(found.payload or "")["session_id"] == "ses_1"
    assert not with_payload({"session_id": "ses_1"}, payload_texts="always").is_shortened


STRUCTURES = {
    "a list of numbers": list(range(100_000)),
    "an object of numbers": {str(number): number for number in range(100_000)},
    "lists in a list": [[0] * 100 for _ in range(1000)],
    "short texts": ["x" * 200] * 1000,
    "wide and deep": {"session_id": "s", "a": {"b": {"c": {"d": [{"e": list(range(50))}] * 2000}}}},
}


@pytest.mark.parametrize("payload", STRUCTURES.values(), ids=STRUCTURES.keys())
@pytest.mark.parametrize("max_bytes", [1024, 65536])
def test_a_payload_that_is_large_by_structure_is_cut_to_the_bound(payload: Any, max_bytes: int) -> None:
    text, is_cut = kept_json(payload, max_bytes)
    kept = json.loads(text)
    assert len(text) <= max_bytes
    assert is_cut
    if isinstance(payload, dict) and "session_id" in payload:
        assert kept["session_id"] == "s"


def test_what_is_nested_deeper_than_sqlite_reads_is_cut() -> None:
    text, is_cut = kept_json(read_json("[" * 800 + "]" * 800), LARGE)
    assert text == "[" * 200 + '"[list of 1]"' + "]" * 200
    assert is_cut


def test_numbers_of_no_size_cost_nothing_else() -> None:
    digits = "9" * 5000
    found = read(f'{{{HEAD}, "payload": [NaN, -Infinity, 1e999, {2**70}, {digits}, -0.0, 1e-6]}}')
    assert found.payload == f'["NaN","-Infinity","1e999",{2**70},"{digits}",-0.0,1e-06]'
    assert not found.is_shortened


def test_half_a_surrogate_pair_is_replaced() -> None:
    found = read(f'{{{HEAD}, "profile": "p\\ud800", "payload": {{"a\\udc00": "\\ud83d\\ude00\\ud83d"}}}}')
    assert (found.profile, found.payload) == ("p\ufffd", '{"a\ufffd":"😀\ufffd"}')


def test_the_last_of_equal_keys_counts() -> None:
    assert read(f'{{{HEAD}, "kind": "other", "payload": {{"a": 1, "a": 2}}}}').payload == '{"a":2}'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_any_json_that_is_small_comes_back_as_it_was(value: Any) -> None:
    text, is_cut = kept_json(read_json(json.dumps(value)), 2**30)
    assert json.loads(text) == value
    assert not is_cut


@given(JSON, st.integers(0, 40), st.booleans())
def test_whatever_is_kept_is_json_within_the_bound(value: Any, times: int, is_always: bool) -> None:
    text, _ = kept_json([value] * times, 1024, is_always_short=is_always)
    assert len(text.encode()) <= 1024
    json.loads(text)

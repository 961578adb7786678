"""Framing: `frames.py` against a second reading of the WHATWG rules, at every cut."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccostdb.errors import Rejected
from ccostdb.frames import SseEvent, SseFramer, sse_events


def events_by_the_rules(stream: bytes) -> list[SseEvent]:
    """The rules once more, over the whole text, one line after the other, as the specification tells them."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _ = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    events, data, event_type, id_buffer = [], "", "", ""
    for line in lines:
        if line == "":
            if data:
                events.append(SseEvent(event_type or "message", data.removesuffix("\n"), id_buffer))
            data = event_type = ""
            continue
        if line.startswith(":"):
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data += value + "\n"
        elif name == "event":
            event_type = value
        elif name == "id" and "\0" not in value:
            id_buffer = value
    return events


CASES = {
    "one event": b"data: a\n\n",
    "no space": b"data:a\n\n",
    "only one space goes": b"data:  a\n\n",
    "a tab stays": b"data:\ta\n\n",
    "a colon in the value": b"data: a: b\n\n",
    "several data lines": b"data: a\ndata: b\ndata:\n\n",
    "empty data": b"data:\n\n",
    "data without colon": b"data\n\n",
    "two bare data lines": b"data\ndata\n\n",
    "no data, no event": b"event: x\nid: 1\n\n",
    "field without colon": b"event\ndata: a\n\n",
    "empty event is message": b"event: x\nevent:\ndata: a\n\n",
    "event of one block only": b"event: x\ndata: a\n\ndata: b\n\n",
    "event of a block without data": b"event: x\n\ndata: b\n\n",
    "last event wins": b"event: x\nevent: y\ndata: a\n\n",
    "event called message": b"event: message\ndata: a\n\n",
    "spaces in the event": b"event:  x \ndata: a\n\n",
    "sticky id": b"id: 1\ndata: a\n\ndata: b\n\n",
    "id without data sticks": b"id: 1\n\ndata: b\n\n",
    "id emptied": b"id: 1\ndata: a\n\nid\ndata: b\n\n",
    "id with NUL ignored": b"id: 1\nid: 2\0\ndata: a\n\n",
    "id with NUL alone": b"id: 1\ndata: a\n\nid: \x002\ndata: b\n\n",
    "data with NUL": b"data: a\0b\n\n",
    "comment": b": hello\n\n: there\ndata: a\n:\n\n",
    "unknown field": b"dato: x\ndata2: y\ndata: a\n\n",
    "field names are exact": b"Data: a\nDATA: b\n data: c\ndata : d\n\n",
    "field named like a method": b"__class__: x\nretry: 3\ndata: a\n\n",
    "cut last block": b"data: a\n\ndata: b\n",
    "cut last line": b"data: a\n\ndata: b",
    "id of a cut block": b"id: 1\ndata: a\n\nid: 2\n",
    "CRLF": b"event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n",
    "CR": b"event: x\rdata: a\r\rdata: b\r\r",
    "mixed line ends": b"data: a\r\ndata: b\rdata: c\n\r\ndata: d\r\n\ndata: e\n\r",
    "LF CR LF": b"data: a\n\r\ndata: b\r\n\r\n",
    "blank lines between": b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n",
    "blank lines of CR": b"\r\r\rdata: a\r\r\r\rdata: b\r\r",
    "BOM": b"\xef\xbb\xbfdata: a\n\n",
    "two BOMs": b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n",
    "BOM later": b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: c\n\n",
    "half a BOM": b"\xef\xbbdata: a\n\ndata: b\n\n",
    "half a BOM, no more": b"\xef\xbb",
    "bad UTF-8": b"data: \xff\xc3\ndata: \xe2\x82\n\n",
    "UTF-8": "data: é€𝄞\n\n".encode(),
    "other separators are text": "data: a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g\n\n".encode(),
    "a line of other separators": "data: a\n\x0b\x0c\x1c\n\u2028\ndata: b\n\n".encode(),
    "retry between": b"data: a\nretry: 10\ndata: b\n\n",
    "many lines": b"id: 7\n" + b"data: x\n" * 200 + b"event: y\n\n",
    "many lines, then no event": b"event: y\n" + b"data: x\n" * 200 + b"event\n\n",
    "many comments": b"event: y\nid: 4\n" + b": x\n" * 200 + b"data: a\n\n",
    "nothing": b"",
}


@pytest.mark.parametrize("stream", CASES.values(), ids=CASES.keys())
def test_a_stream_means_what_the_rules_say_at_every_cut(stream: bytes) -> None:
    expected = events_by_the_rules(stream)
    assert list(sse_events([stream])) == expected
    assert list(sse_events(bytes([byte]) for byte in stream)) == expected
    if len(stream) < 200:
        for cut in range(len(stream) + 1):
            assert list(sse_events([stream[:cut], b"", stream[cut:]])) == expected, cut


WORDS = (
    b"data", b"event", b"id", b"retry", b":", b": ", b" ", b"a", b"17", b"\n", b"\n", b"\n\n", b"\r", b"\r\n",
    b"\0",
    b"\xef\xbb\xbf", b"\xc3\xa9", b"\xff", b"\xe2\x82", b"\x0b", b"\xe2\x80\xa8", b"data: x\n", b"id: 2\n",
    b"event: e\n",
)  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=40).map(b"".join), st.randoms(use_true_random=False))
def test_any_stream_means_what_the_rules_say_however_it_is_cut(stream: bytes, chance: random.Random) -> None:
    cuts = sorted(chance.choices(range(len(stream) + 1), k=chance.randrange(6)))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert list(sse_events(chunks)) == events_by_the_rules(stream)


@given(st.binary(max_size=60))
def test_any_bytes_mean_what_the_rules_say(stream: bytes) -> None:
    assert list(sse_events([stream])) == events_by_the_rules(stream)


def test_the_rules_as_known_results() -> None:
    stream = b"\xef\xbb\xbfid: 1\nevent: add\ndata: a\ndata:\n\ndata\n\nid\n\ndata:  b\r\rdata: cut\n"
    assert list(sse_events([stream])) == [
        SseEvent("add", "a\n", "1"),
        SseEvent("message", "", "1"),
        SseEvent("message", " b", ""),
    ]


def test_an_event_comes_with_the_byte_that_ends_it() -> None:
    for stream in (b"data: a\n\n", b"data: a\r\n\r", b"data: a\r\r"):
        framer = SseFramer()
        assert framer.feed(stream[:-1]) == []
        assert framer.feed(stream[-1:]) == [SseEvent("message", "a")]


def test_the_framer_knows_the_id_and_the_wait_that_the_stream_asks_for() -> None:
    framer = SseFramer()
    assert (framer.last_event_id, framer.retry_ms) == ("", None)
    framer.feed(b"retry: 3000\nretry: soon\nretry\nretry: -1\nretry: 1.5\nretry: \xd9\xa3\nid: 7\n\n")
    assert (framer.last_event_id, framer.retry_ms) == ("7", 3000)
    framer.feed(b"retry:50\nretry: " + b"9" * 5000 + b"\n\nid: 8\nretry: 4\n")
    assert (framer.last_event_id, framer.retry_ms) == ("7", 50)


def test_an_event_that_is_too_big_is_rejected_once_and_not_kept() -> None:
    framer = SseFramer(max_bytes=1000)
    found = framer.feed(b"data: a\n\ndata: ")
    for _ in range(10_000):
        found += framer.feed(b"b" * 100)
        assert len(framer._block) <= 1100  # what is held, not what came
    found += framer.feed(b"\ndata: still\n")
    found += framer.feed(b"\ndata: c\n\n")
    a, rejected, c = found
    assert (a, c) == (SseEvent("message", "a"), SseEvent("message", "c"))
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "an event over 1000 bytes"
    assert rejected.excerpt == "data: " + "b" * 494


@pytest.mark.parametrize("size_bytes", range(1, 40))
def test_the_limit_cuts_the_same_event_whatever_the_chunks(size_bytes: int) -> None:
    stream = b"data: 0123456789\n\ndata: 0123456789a\n\nid: 3\ndata: b\n\n"
    framer = SseFramer(max_bytes=16)
    found = [
        event
        for start in range(0, len(stream), size_bytes)
        for event in framer.feed(stream[start : start + size_bytes])
    ]
    assert found[0] == SseEvent("message", "0123456789")
    assert isinstance(found[1], Rejected)
    assert found[2:] == [SseEvent("message", "b", "3")]


@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + b"x" * 4_000_000 + b"\n\n",
        b"data: x\n" * 400_000 + b"\n",
        b":\n" * 1_000_000 + b"data: x\n\n",
    ],
    ids=["one line", "many lines", "many comments"],
)
def test_the_work_grows_with_the_size_of_an_event_not_with_its_square(stream: bytes) -> None:
    (event,) = sse_events(stream[start : start + 512] for start in range(0, len(stream), 512))
    assert event == events_by_the_rules(stream)[0]

"""Times: what every source may send, and the quarter hours of a zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccostdb.clock import calendar_row, iso, parse_ns

NOON = 1_786_536_000_000_000_000  # 2026-08-12T12:00:00Z


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2026-08-12T12:00:00Z", NOON),
        ("2026-08-12T12:00:00.5Z", NOON + 500_000_000),
        ("2026-08-12T12:00:00.558Z", NOON + 558_000_000),
        ("2026-08-12T12:00:00.558123+00:00", NOON + 558_123_000),
        ("2026-08-12T12:00:00.123456789+00:00", NOON + 123_456_789),
        ("2026-08-12T12:00:00.1234567894Z", NOON + 123_456_789),
        ("2026-08-12T14:00:00+02:00", NOON),
        ("2026-08-12T06:30:00-05:30", NOON),
        ("2026-08-12t12:00:00z", NOON),
        ("2026-08-12 12:00:00Z", NOON),
    ],
)
def test_a_time_is_read_to_the_nanosecond(text, ns):
    assert parse_ns(text) == ns


@pytest.mark.parametrize(
    "text",
    ["", "now", "2026-08-12", "2026-08-12T12:00:00", "2026-02-30T12:00:00.000Z", "2026-08-12T25:00:00.000Z",
     "2026-08-12T12:61:00.000Z", "2026-08-12T12:00:99.000Z", "2026-08-12T12:00:0x.000Z", "0001-01-01T00:00:00Z",
     "9999-01-01T00:00:00.000Z", "2026-08-12T12-00:00.000Z", "2026-08-12T12:00:00.²³¹Z",
     "２０２６-08-12T12:00:00.000Z", "2026-08-12T12:00:00.1+01", "2026-08-12T24:00:00.000Z", "2026-08-12T24:00:00Z"],
)  # fmt: skip
def test_what_is_no_time_is_none(text):
    assert parse_ns(text) is None


@given(
    st.from_regex(
        r"(19[67]\d|20\d\d|226\d|9999)-?[01][0-9W]-?[0-3]\d[T ]?[0-2]\d:?[0-6]\d:?[0-6]\d[.,]?\d{3,6}Z", fullmatch=True
    )
)
def test_a_time_as_transcripts_write_it_is_what_the_same_time_is_to_the_nanosecond(text):
    assert parse_ns(text) == parse_ns(f"{text[:-1]}000Z")


@given(st.integers(min_value=0, max_value=4_102_444_800_000))
def test_milliseconds_go_to_text_and_back(ms):
    text = iso(ms * 1_000_000)
    assert parse_ns(text) == ms * 1_000_000
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)


def test_a_quarter_hour_has_its_names_in_a_zone():
    row = calendar_row(NOON // 1_000_000_000, ZoneInfo("Asia/Kathmandu"))
    assert row[1:] == ("2026-08-12T17:00+05:45", "2026-08-12", "2026-W33", "2026-08")


def test_the_week_of_new_year_is_iso():
    assert calendar_row(1_798_761_600, ZoneInfo("UTC")).week == "2026-W53"  # 2027-01-01, a Friday


def test_the_hour_that_comes_twice_keeps_two_names():
    berlin = ZoneInfo("Europe/Berlin")
    first, second = (calendar_row(1_792_888_200 + more, berlin).hour for more in (0, 3600))
    assert (first, second) == ("2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00")

"""Times: text to integer nanoseconds and back; quarter hours, days, weeks and months of a zone. Pure: now is given."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):?(\d\d))", re.ASCII
)
_YEARS = range(1970, 2262)  # what 64 bits of nanoseconds hold
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS, _SECOND = timedelta(milliseconds=1), timedelta(seconds=1)
_END_MS = (datetime(_YEARS.stop, 1, 1, tzinfo=UTC) - _EPOCH) // _MS


def parse_ns(text: str) -> int | None:
    """Nanoseconds since the epoch of an RFC 3339 time with `Z` or an offset; None if it is no such time.

    0 to 9 digits of fraction count, further ones are cut: `datetime` would keep only six.
    """
    if len(text) == 24 and text[4:20:3] == "--T::." and text[23] == "Z" and text[11:13] < "24":
        # Milliseconds and Z, as every transcript line has it: far quicker than the general case.
        try:
            ms = (datetime.fromisoformat(text) - _EPOCH) // _MS
        except ValueError:
            pass  # no time, or a leap second
        else:
            return ms * 1_000_000 if 0 <= ms < _END_MS else None
    found = _RFC3339.fullmatch(text)
    if found is None or found[2] >= "24" or int(found[3]) > 60:  # later Pythons take 24:00
        return None
    try:
        minute = datetime.fromisoformat(f"{found[1]}T{found[2]}Z")
    except ValueError:
        return None
    if minute.year not in _YEARS:
        return None
    offset_s = 0
    if found[5]:
        offset_s = (int(found[6]) * 3600 + int(found[7]) * 60) * (1 if found[5] == "+" else -1)
    since_s = (minute - _EPOCH) // _SECOND + int(found[3]) - offset_s
    ns = since_s * SECOND_NS + int((found[4] or "").ljust(9, "0"))
    return ns if ns >= 0 else None


def iso(ns: int) -> str:
    """UTC text with milliseconds, as people read it: 2026-08-12T15:27:45.558Z."""
    whole_s, rest_ns = divmod(ns, SECOND_NS)
    return f"{datetime.fromtimestamp(whole_s, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03d}Z"


def midnight_ns(day: date, zone: ZoneInfo) -> int:
    """The start of a day in a zone."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * SECOND_NS


class CalendarRow(NamedTuple):
    """A quarter hour (`bucket_s`: its start, UTC) as a zone names it; the week is ISO's."""

    bucket_s: int
    hour: str
    day: str
    week: str
    month: str


def calendar_row(bucket_s: int, zone: ZoneInfo) -> CalendarRow:
    """Where a quarter hour falls in a zone's hours, days, weeks and months."""
    local = datetime.fromtimestamp(bucket_s, zone)
    text = local.isoformat(timespec="minutes")  # 2026-07-01T14:15+02:00
    year, week, _ = local.isocalendar()
    return CalendarRow(bucket_s, f"{text[:13]}:00{text[16:]}", text[:10], f"{year}-W{week:02d}", text[:7])


class Span(NamedTuple):
    """A local day, ISO week or month: as the views label it, its first day, and its bounds (the end is out)."""

    label: str
    first_day: date
    from_ns: int
    to_ns: int


def span_at(period: str, now_ns: int, zone: ZoneInfo) -> Span:
    """The day, week or month of a zone that is now. One with a clock change is as long as it really is."""
    today = datetime.fromtimestamp(now_ns // SECOND_NS, zone).date()
    if period == "day":
        first, after, label = today, today + timedelta(days=1), str(today)
    elif period == "week":
        year, week, weekday = today.isocalendar()
        first = today - timedelta(days=weekday - 1)
        after, label = first + timedelta(days=7), f"{year}-W{week:02d}"
    else:
        first = today.replace(day=1)
        after, label = (first + timedelta(days=31)).replace(day=1), f"{today:%Y-%m}"
    return Span(label, first, midnight_ns(first, zone), midnight_ns(after, zone))

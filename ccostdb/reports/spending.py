"""The ledger → what was spent today, this week, this month, against the last, and on what. Reads views; asks no clock.

What people look at shares it: the home page, `top`, the statusline. Counted sources only; money is nano-USD. Each
function reads what is stored when it is called: give it a connection in a transaction where figures must agree.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from ccostdb.budgets.standing import projected_nusd, spans_at
from ccostdb.clock import SECOND_NS, Span, span_at
from ccostdb.reports import YEARS
from ccostdb.resources import sql
from ccostdb.views import statement

DIMENSIONS = ("model", "project", "agent")
PERIODS = {"today": "today", "week": "this week", "month": "this month", "last_month": "last month"}  # of a breakdown
HOUR_NS = 3600 * SECOND_NS
CHART_DAYS = 30  # at least so many days are in Spending.days

Number = TypeVar("Number", int, float)

_MEASURES = (
    *("calls", "errors", "unpriced_calls", "cost_nusd", "savings_nusd", "input_tokens", "output_tokens"),
    *("cache_write_tokens", "cache_read_tokens", "total_tokens"),
)


@dataclass(frozen=True, slots=True)
class Spent:
    """What the calls of some time cost. `label`: 2026-11-21, 2026-W47, 2026-11; of an hour 2026-11-21T14:00+01:00.

    Days are local, both included. A sum is None where there are calls, and none says it. Savings are those of prompt
    caching, less than 0 where it cost.
    """

    label: str
    first_day: date
    last_day: date
    calls: int = 0
    errors: int = 0
    unpriced_calls: int = 0
    cost_nusd: int | None = 0
    savings_nusd: int | None = 0
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cache_write_tokens: int | None = 0
    cache_read_tokens: int | None = 0
    total_tokens: int | None = 0

    @property
    def cache_share(self) -> float | None:
        """Share of the input that was read from a prompt cache. None: no call tells, or there was none."""
        known = [self.input_tokens or 0, self.cache_write_tokens or 0, self.cache_read_tokens or 0]
        return self.cache_read_tokens / sum(known) if self.cache_read_tokens is not None and any(known) else None


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast it goes: in the last 60 minutes; and what the day and the month will have cost if each goes on as it did
    from its start. None: unknown, or a period has only begun.
    """

    calls_per_hour: int
    cost_nusd_per_hour: int | None
    projected_day_nusd: int | None
    projected_month_nusd: int | None


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent until now, in the ledger's home zone. `…_by_now`: the last period until the same local time in it.

    `days` are those with calls since `last_month` began, or longer; `hours` those of today and yesterday. `in_all`: all
    that ever was, from the first day with calls to the last, where there were none this week and month; else None.
    """

    zone: ZoneInfo
    now_ns: int
    today: Spent
    yesterday: Spent
    yesterday_by_now: Spent
    week: Spent
    last_week: Spent
    last_week_by_now: Spent
    month: Spent
    last_month: Spent
    last_month_by_now: Spent
    pace: Pace
    days: tuple[Spent, ...]
    hours: tuple[Spent, ...]
    in_all: Spent | None

    def period(self, name: str) -> Spent:
        """One of PERIODS."""
        spent: Spent = getattr(self, name)
        return spent


@dataclass(frozen=True, slots=True)
class Share:
    """What was spent on one model, project or agent. name None: the calls that name none. share None: unknown cost."""

    name: str | None
    share: float | None
    calls: int
    unpriced_calls: int
    cost_nusd: int | None
    savings_nusd: int | None
    total_tokens: int | None

    @classmethod
    def added(cls, name: str | None, shares: Sequence[Share]) -> Share:
        """Several as one; a sum is None where none of them knows it."""
        sums: list[Any] = [_total([getattr(each, field) for each in shares]) for field in cls.__slots__[1:]]
        return cls(name, *sums)


@dataclass(frozen=True, slots=True)
class Breakdown:
    """What was spent on what in some days, the dearest first. Response caching is an estimate, as in `cache_savings`.

    `response_cache_savings_nusd` None: there were hits, and no paid call to tell by.
    """

    shares: dict[str, list[Share]]
    response_cache_hits: int
    response_cache_savings_nusd: int | None


def spending(con: sqlite3.Connection, now_ns: int) -> Spending:
    """What was spent until now. In one transaction, all of it is of one moment."""
    (home_tz,) = con.execute("select home_tz from ledger").fetchone()
    zone = ZoneInfo(home_tz)
    spans = spans_at(now_ns, home_tz)
    last = {period: span_at(period, span.from_ns - 1, zone) for period, span in spans.items()}
    today = spans["day"].first_day
    then_ns = {period: _same_time_ns(period, now_ns, span, zone) for period, span in last.items()}
    then_days = {period: _local(ns, zone).date() for period, ns in then_ns.items()}
    first_day = min(last["month"].first_day, last["week"].first_day, today - timedelta(days=CHART_DAYS - 1))
    hours = by_hour(con, [today, *then_days.values()])
    last_day = max(_last_day(span, zone) for span in spans.values())
    one = timedelta(days=1)
    later = by_day(con, today + one, last_day)  # a clock that was wrong
    days = [*by_day(con, first_day, today - one), *_day_of(hours, today), *later]

    def whole(span: Span) -> Spent:
        return added_up(span.label, span.first_day, _last_day(span, zone), days)

    def by_now(period: str) -> Spent:
        rest = _running_hour(con, _local(then_ns[period], zone), then_ns[period])
        return _until(rest, whole(last[period]), days, hours)

    found = {period: whole(span) for period, span in spans.items()}
    return Spending(
        *(zone, now_ns),
        *(found["day"], whole(last["day"]), by_now("day")),
        *(found["week"], whole(last["week"]), by_now("week")),
        *(found["month"], whole(last["month"]), by_now("month")),
        pace=_pace(con, now_ns, spans, found),
        days=tuple(days),
        hours=tuple(each for each in hours if each.first_day in (today, then_days["day"])),
        in_all=None if found["week"].calls or found["month"].calls else _in_all(con),
    )


def _in_all(con: sqlite3.Connection) -> Spent | None:
    days = by_day(con, date(YEARS[0], 1, 1), date(YEARS[-1], 12, 31))
    ends = [each.first_day for each in days]
    return added_up("", min(ends), max(ends), days) if days else None


def by_day(con: sqlite3.Connection, first_day: date, last_day: date) -> list[Spent]:
    """The days with calls, both ends included."""
    values = {"first_day": str(first_day), "last_day": str(last_day)}
    rows = con.execute(sql("queries/spent_by_day.sql"), values)
    return [Spent(row[0], date.fromisoformat(row[0]), date.fromisoformat(row[0]), *row[1:]) for row in map(tuple, rows)]


def by_hour(con: sqlite3.Connection, days: Iterable[date]) -> list[Spent]:
    """The local hours with calls of these days, four at most; an hour that comes twice in autumn is two."""
    values = dict.fromkeys(("day_1", "day_2", "day_3", "day_4"))
    values |= {f"day_{number}": str(day) for number, day in enumerate({*days}, start=1)}
    rows = con.execute(sql("queries/spent_by_hour.sql"), values)
    return [Spent(row[0], *(date.fromisoformat(row[0][:10]),) * 2, *row[1:]) for row in map(tuple, rows)]


def breakdowns(con: sqlite3.Connection, first_day: date, last_day: date) -> Breakdown:
    """What was spent on each model, project and agent in some days, both ends included."""
    cursor = con.cursor()
    cursor.row_factory = sqlite3.Row
    values = {"first_day": str(first_day), "last_day": str(last_day)}
    rows = cursor.execute(sql("queries/spent_by_name.sql"), values).fetchall()
    shares = {dimension: _shares(rows, dimension) for dimension in DIMENSIONS}
    hits, saved_nusd = sum(row["response_cache_hits"] for row in rows), _total([row[-1] for row in rows])
    return Breakdown(shares, hits, (None if hits else 0) if saved_nusd is None else round(saved_nusd))


def added_up(label: str, first_day: date, last_day: date, parts: Iterable[Spent]) -> Spent:
    """The parts that lie within these days, added up."""
    within = [each for each in parts if each.calls and first_day <= each.first_day <= last_day]
    sums: dict[str, Any] = {name: _total([getattr(each, name) for each in within]) for name in _MEASURES}
    return Spent(label, first_day, last_day, **sums) if within else Spent(label, first_day, last_day)


def _day_of(hours: Sequence[Spent], day: date) -> list[Spent]:
    """That day, if it has calls."""
    found = added_up(str(day), day, day, hours)
    return [found] if found.calls else []


def _total(values: Sequence[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _running_hour(con: sqlite3.Connection, then: datetime, then_ns: int) -> Spent:
    """The calls of the local hour that had begun at that moment, up to it."""
    label = then.replace(minute=0, second=0).isoformat(timespec="minutes")
    from_ns = then_ns - (then.minute * 60 + then.second) * SECOND_NS - then_ns % SECOND_NS
    return Spent(label, then.date(), then.date(), *_between(con, from_ns, then_ns))


def _until(rest: Spent, whole: Spent, days: Sequence[Spent], hours: Sequence[Spent]) -> Spent:
    """A period up to a moment in it: whole days, whole hours of its day, and `rest`, the hour that had begun."""
    day = rest.first_day
    parts = [each for each in days if each.first_day < day]
    parts += [each for each in hours if each.first_day == day and _start_ns(each) < _start_ns(rest)]
    return added_up(whole.label, whole.first_day, min(day, whole.last_day), [*parts, rest])


def _between(con: sqlite3.Connection, from_ns: int, to_ns: int) -> Sequence[Any]:
    values = {"from_ns": from_ns, "to_ns": to_ns}
    return tuple(con.execute(statement("queries/spent_between.sql"), values).fetchone())


def _pace(con: sqlite3.Connection, now_ns: int, spans: dict[str, Span], found: dict[str, Spent]) -> Pace:
    """As budgets reckon it, and the last hour from its calls."""
    hour = Spent("", spans["day"].first_day, spans["day"].first_day, *_between(con, now_ns - HOUR_NS, now_ns))

    ends = (projected_nusd(spans[period], found[period].cost_nusd, now_ns) for period in ("day", "month"))
    return Pace(hour.calls, hour.cost_nusd if hour.calls else 0, *ends)


def _same_time_ns(period: str, now_ns: int, last: Span, zone: ZoneInfo) -> int:
    """The same local time one day, week or month ago; the end of a month that has no such day."""
    now = _local(now_ns, zone)
    if period == "month":
        day_of_month = last.first_day + timedelta(days=now.day - 1)
        days_ago = (now.date() - day_of_month).days
    else:
        days_ago = {"day": 1, "week": 7}[period]
    then = now - timedelta(days=days_ago)  # wall clock: a zone's arithmetic
    return min(int(then.timestamp()) * SECOND_NS + now_ns % SECOND_NS, last.to_ns)


def _local(ns: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ns // SECOND_NS, zone)


def _last_day(span: Span, zone: ZoneInfo) -> date:
    return _local(span.to_ns - 1, zone).date()


def _start_ns(hour: Spent) -> int:
    return int(datetime.fromisoformat(hour.label).timestamp()) * SECOND_NS


def _shares(rows: Sequence[sqlite3.Row], dimension: str) -> list[Share]:
    by_name = defaultdict(list)
    all_nusd = sum(row["cost_nusd"] or 0 for row in rows)
    for row in rows:
        share = row["cost_nusd"] / all_nusd if row["cost_nusd"] is not None and all_nusd else None
        measures = ("calls", "unpriced_calls", "cost_nusd", "savings_nusd", "total_tokens")
        by_name[row[dimension]].append(Share(row[dimension], share, *(row[each] for each in measures)))
    found = [Share.added(name, parts) for name, parts in by_name.items()]
    found.sort(key=lambda each: each.name or "")
    found.sort(key=attrgetter("calls"), reverse=True)
    return sorted(found, key=lambda each: -1 if each.cost_nusd is None else each.cost_nusd, reverse=True)

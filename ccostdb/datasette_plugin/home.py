"""The ledger → what the home page shows, of one moment: figures with their links, charts. Asks no clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from markupsafe import Markup

from ccostdb.budgets.standing import Standing
from ccostdb.clock import SECOND_NS, Span, span_at
from ccostdb.datasette_plugin.svg import Bar, Chart, Line, bars, lines, share_bar
from ccostdb.health.overview import look
from ccostdb.reports import Question, left_out
from ccostdb.reports.spending import (
    CHART_DAYS,
    DIMENSIONS,
    HOUR_NS,
    PERIODS,
    Breakdown,
    Share,
    Spending,
    Spent,
    added_up,
    breakdowns,
    spending,
)
from ccostdb.settings import Settings
from ccostdb.words import count_of
from ccostdb.written import compared, day_text, percent, usd

MOST_NAMES = 8  # of models, projects and agents; the others are one line
DAY_TICKS = 7


@dataclass(frozen=True, slots=True)
class Card:
    """A period beside the same part of the last."""

    title: str
    spent: Spent
    arrow: str
    said: str  # how much more or less than then
    href: str


@dataclass(frozen=True, slots=True)
class Named:
    """A line of what was spent on what. `href` None: it is the rest."""

    name: str
    is_unnamed: bool
    share: Share
    bar: Markup
    href: str | None


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget's limit, and how it stands."""

    standing: Standing
    used: float | None
    bar: Markup
    said: str


def home(con: sqlite3.Connection, settings: Settings, now_ns: int, period: str | None) -> dict[str, Any]:
    """What the template `ccostdb_home.html` is given. `period`: one of PERIODS, else this month."""
    chosen = period if period in PERIODS else "month"
    found = spending(con, now_ns)
    spent = found.period(chosen)
    broken_down = breakdowns(con, spent.first_day, spent.last_day)
    health = look(con, settings, now_ns)
    return {
        "now": datetime.fromtimestamp(now_ns // SECOND_NS, found.zone),
        "spending": found,
        "rows_url": rows_url,
        "count_of": count_of,
        "is_empty": not _has_calls(con),
        "cards": _cards(found),
        "day_chart": _day_chart(found),
        "day_rows": _day_rows(found),
        "hour_chart": _hour_chart(found),
        "hour_rows": _hour_rows(found),
        "periods": PERIODS,
        "chosen": chosen,
        "spent": spent,
        "names": {dimension: _named(broken_down, dimension, spent) for dimension in DIMENSIONS},
        "breakdown": broken_down,
        "limits": [_limit(each, now_ns) for each in health.limits],
        "has_budgets": bool(settings.user_budgets),
        "health": health,
        "sources": health.known_sources,
        "notes": left_out(con, Question(since=str(found.last_month.first_day)), now_ns / SECOND_NS),
    }


def rows_url(first_day: date, last_day: date, **names: str | None) -> str:
    """The calls behind a number. A name of None asks for the calls that name none."""
    asked = {key: asked_name(name) for key, name in names.items()}
    return table_url("calls_of", since=first_day, until=last_day, **asked)


def asked_name(name: str | None) -> str:
    """A name as questions take it: `-` asks for calls that name none; two dashes stand before one of dashes only."""
    return "-" if name is None else name if name.strip("-") else f"--{name}"


def table_url(name: str, **filters: object) -> str:
    """The address of a table, view or question of the ledger. Filters that are None are left out."""
    asked = urlencode({key: value for key, value in filters.items() if value is not None})
    return f"/ccostdb/{name}{'?' if asked else ''}{asked}"


def _has_calls(con: sqlite3.Connection) -> bool:
    return bool(con.execute("select exists (select 1 from call)").fetchone()[0])


def _cards(found: Spending) -> list[Card]:
    by = f"{datetime.fromtimestamp(found.now_ns // SECOND_NS, found.zone):%H:%M}"
    wanted = (
        ("Today", found.today, found.yesterday_by_now, f"yesterday by {by}"),
        ("This week", found.week, found.last_week_by_now, "last week by then"),
        ("This month", found.month, found.last_month_by_now, "last month by then"),
    )
    return [
        Card(title, spent, *_against(spent, then, named), rows_url(spent.first_day, spent.last_day))
        for title, spent, then, named in wanted
    ]


def _against(spent: Spent, then: Spent, named: str) -> tuple[str, str]:
    """As `compared`; calls for $0.00 are not the same as none."""
    if then.calls or spent.cost_nusd is None:
        return compared(spent.cost_nusd, then.cost_nusd, named)
    return "", f"Nothing was recorded {named}"


def _dollars(nusd: int | None) -> float | None:
    return None if nusd is None else nusd / 1e9


def _last_days(found: Spending) -> list[Spent]:
    """The last days, those without calls too."""
    by_day = {each.first_day: each for each in found.days}
    days = [found.today.first_day - timedelta(days=each) for each in reversed(range(CHART_DAYS))]
    return [by_day.get(day, Spent(str(day), day, day)) for day in days]


def _day_chart(found: Spending) -> Markup:
    days = _last_days(found)
    today = found.today.first_day
    series = [
        Bar(
            _dollars(each.cost_nusd),
            f"{each.first_day:%A} {day_text(each.first_day)}: {usd(each.cost_nusd)}, {count_of(each.calls, 'call')}",
            f"{each.first_day.day} {each.first_day:%b}" if (today - each.first_day).days % DAY_TICKS == 0 else "",
            is_marked=each.first_day == today,
        )
        for each in days
    ]
    dearest = max(days, key=lambda each: each.cost_nusd or 0)
    said = (
        f"{day_text(days[0].first_day)} to {day_text(today)} {today.year}, today so far {usd(found.today.cost_nusd)}."
    )
    if dearest.cost_nusd:
        said += f" The dearest: {day_text(dearest.first_day)}, {usd(dearest.cost_nusd)}."
    return bars(Chart("days", f"Spending of the last {CHART_DAYS} days", said), series)


def _day_rows(found: Spending) -> list[tuple[Spent, str]]:
    return [(each, rows_url(each.first_day, each.last_day)) for each in reversed(_last_days(found)) if each.calls]


def running_total(hours: Sequence[Spent], day: Span, until_ns: int) -> list[tuple[float, float]]:
    """(share of the day that has passed, dollars until then) at the end of each hour, and last at a moment of it."""
    last = passed(day, until_ns)
    points, total_nusd = [(0.0, 0.0)], 0
    for each in hours:
        if str(each.first_day) == day.label:
            start_ns = int(datetime.fromisoformat(each.label).timestamp()) * SECOND_NS
            points.append((min(last, passed(day, start_ns)), total_nusd / 1e9))  # it was level until then
            total_nusd += each.cost_nusd or 0
            points.append((min(last, passed(day, start_ns + HOUR_NS)), total_nusd / 1e9))
    return [*points, (last, total_nusd / 1e9)]


def passed(span: Span, at_ns: int) -> float:
    """The share of a period that is over at a moment of it."""
    return (at_ns - span.from_ns) / (span.to_ns - span.from_ns)


def hour_ticks(day: Span, zone: ZoneInfo) -> list[tuple[float, str]]:
    """Each sixth hour of the clock; one with a clock change has them where they are."""
    hours = [datetime.combine(day.first_day, time(hour), zone) for hour in (0, 6, 12, 18)]
    ticks = [(passed(day, int(hour.timestamp()) * SECOND_NS), f"{hour:%H:%M}") for hour in hours]
    return [*ticks, (1.0, "24:00")]


def _hour_chart(found: Spending) -> Markup:
    today = span_at("day", found.now_ns, found.zone)
    yesterday = span_at("day", today.from_ns - 1, found.zone)
    now = running_total(found.hours, today, found.now_ns)
    before = running_total(found.hours, yesterday, yesterday.to_ns)
    said = f"Today until now {usd(found.today.cost_nusd)}; "
    if found.yesterday.calls:
        said += f"yesterday until the same time {usd(found.yesterday_by_now.cost_nusd)}, "
        said += f"in all {usd(found.yesterday.cost_nusd)}."
    else:
        said += "nothing was recorded yesterday."
    chart = Chart("hours", "Spending today and yesterday, added up hour by hour", said)
    return lines(chart, [Line("before", before), Line("now", now)], hour_ticks(today, found.zone))


def _hour_rows(found: Spending) -> list[tuple[str, Spent, Spent, bool]]:
    """Each hour of the clock with what it cost today and yesterday, and whether today's has begun.

    An hour that comes twice in autumn is one here.
    """
    days = (found.today.first_day, found.yesterday.first_day)
    now = f"{datetime.fromtimestamp(found.now_ns // SECOND_NS, found.zone):%H:%M}"

    def spent(day: date, hour: str) -> Spent:
        return added_up(hour, day, day, [each for each in found.hours if each.label[11:16] == hour])

    hours = sorted({each.label[11:16] for each in found.hours})
    return [(hour, spent(days[0], hour), spent(days[1], hour), hour <= now) for hour in hours]


def _named(broken_down: Breakdown, dimension: str, spent: Spent) -> list[Named]:
    shares = broken_down.shares[dimension]
    shown, rest = shares[:MOST_NAMES], shares[MOST_NAMES:]
    if len(rest) == 1:  # a line for it is as long as a line for the rest
        shown, rest = shares, []
    found = [
        Named(
            "not named" if each.name is None else each.name,
            each.name is None,
            each,
            share_bar(each.share),
            rows_url(spent.first_day, spent.last_day, **{dimension: each.name}),
        )
        for each in shown
    ]
    if rest:
        others = Share.added(None, rest)
        found.append(Named(f"{len(rest):,} others", True, others, share_bar(others.share), None))
    return found


def _limit(standing: Standing, now_ns: int) -> Limit:
    used = None if standing.spent_nusd is None else standing.spent_nusd / standing.limit_nusd
    projected = standing.projected_nusd(now_ns)
    if standing.spent_nusd is None:
        said = "No call of it has a price."
    elif standing.is_reached(1.0):
        said = f"Over by {usd(standing.spent_nusd - standing.limit_nusd)}." if used and used > 1 else "Reached."
    elif projected is None:
        said = f"{usd(standing.limit_nusd - standing.spent_nusd)} left."
    else:
        leads = f"At this pace {usd(projected)} at its end"
        said = f"{usd(standing.limit_nusd - standing.spent_nusd)} left. {leads}, {percent(standing.pace(now_ns))}."
    return Limit(standing, used, share_bar(used, mark=passed(standing.span, now_ns)), said)

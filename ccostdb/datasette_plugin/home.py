"""The ledger → what the home page shows, of one moment: figures with their links, charts. Asks no clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup

from ccostdb.budgets.standing import Standing
from ccostdb.clock import SECOND_NS, midnight_ns
from ccostdb.datasette_plugin.figures import change, day_text, percent, table_url, usd
from ccostdb.datasette_plugin.svg import Bar, Chart, Line, bars, lines, share_bar
from ccostdb.health.trouble import Health, look
from ccostdb.reports import Question, report
from ccostdb.reports.spending import (
    CHART_DAYS,
    DIMENSIONS,
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

PERIODS = {"today": "Today", "week": "This week", "month": "This month", "last_month": "Last month"}
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
    of: Spent = getattr(found, chosen)
    on = breakdowns(con, of.first_day, of.last_day)
    health = look(con, settings, now_ns)
    return {
        "now": datetime.fromtimestamp(now_ns // SECOND_NS, found.zone),
        "spending": found,
        "is_empty": not _has_calls(con),
        "cards": _cards(found),
        "day_chart": _day_chart(found),
        "day_rows": _day_rows(found),
        "hour_chart": _hour_chart(found),
        "hour_rows": _hour_rows(found),
        "periods": PERIODS,
        "chosen": chosen,
        "of": of,
        "names": {dimension: _named(on, dimension, of) for dimension in DIMENSIONS},
        "response": on,
        "limits": [_limit(each, now_ns) for each in health.limits],
        "has_budgets": bool(settings.user_budgets),
        "health": health,
        "sources": _sources(health),
        "notes": _notes(con, found, now_ns),
    }


def rows_url(first_day: date, last_day: date, **names: str | None) -> str:
    """The calls behind a number. A name of None asks for the calls that name none."""
    asked = {key: "-" if name is None else name for key, name in names.items()}
    return table_url("calls_of", since=first_day, until=last_day, **asked)


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
        Card(title, spent, *change(spent.cost_nusd, then.cost_nusd, named), rows_url(spent.first_day, spent.last_day))
        for title, spent, then, named in wanted
    ]


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


def running_total(hours: Sequence[Spent], day: date, zone: ZoneInfo) -> list[tuple[float, float]]:
    """(share of the day that has passed, dollars until then) at the end of each hour."""
    midnight_s, end_s = (midnight_ns(day + timedelta(days=each), zone) / SECOND_NS for each in (0, 1))
    length_s = end_s - midnight_s
    points, total_nusd = [(0.0, 0.0)], 0
    for each in hours:
        if each.first_day == day:
            start_s = datetime.fromisoformat(each.label).timestamp() - midnight_s
            points.append((max(points[-1][0], start_s / length_s), total_nusd / 1e9))  # it was level until then
            total_nusd += each.cost_nusd or 0
            points.append((min(1.0, (start_s + 3600) / length_s), total_nusd / 1e9))
    return points


def _passed(found: Spending) -> float:
    """The share of today that is over."""
    start_ns, end_ns = (midnight_ns(found.today.first_day + timedelta(days=each), found.zone) for each in (0, 1))
    return (found.now_ns - start_ns) / (end_ns - start_ns)


def _hour_chart(found: Spending) -> Markup:
    today, yesterday = found.today.first_day, found.yesterday.first_day
    before = running_total(found.hours, yesterday, found.zone)
    before.append((1.0, before[-1][1]))
    now = running_total(found.hours, today, found.zone)
    passed = _passed(found)
    now = [(right, height) for right, height in now if right <= passed or height < now[-1][1]]
    now.append((max(passed, now[-1][0]), (found.today.cost_nusd or 0) / 1e9))
    said = f"Today until now {usd(found.today.cost_nusd)}; yesterday until the same time "
    said += f"{usd(found.yesterday_by_now.cost_nusd)}, in all {usd(found.yesterday.cost_nusd)}."
    ticks = [(hour / 24, f"{hour:02d}:00") for hour in (0, 6, 12, 18, 24)]
    chart = Chart("hours", "Spending today and yesterday, added up hour by hour", said)
    return lines(chart, [Line("before", before), Line("now", now)], ticks)


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


def _named(on: Breakdown, dimension: str, of: Spent) -> list[Named]:
    shares = on.shares[dimension]
    unnamed = {"model": "no model named", "project": "no project named", "agent": "main thread"}
    shown, rest = shares[:MOST_NAMES], shares[MOST_NAMES:]
    if len(rest) == 1:  # a line for it is as long as a line for the rest
        shown, rest = shares, []
    found = [
        Named(
            unnamed[dimension] if each.name is None else each.name,
            each.name is None,
            each,
            share_bar(each.share),
            rows_url(of.first_day, of.last_day, **{dimension: each.name}),
        )
        for each in shown
    ]
    if rest:
        others = _rest(rest)
        found.append(Named(f"{len(rest):,} others", True, others, share_bar(others.share), None))
    return found


def _rest(shares: Sequence[Share]) -> Share:
    def total(name: str) -> Any:
        known = [value for each in shares if (value := getattr(each, name)) is not None]
        return sum(known) if known else None

    return Share(None, *(total(name) for name in Share.__slots__[1:]))


def _limit(standing: Standing, now_ns: int) -> Limit:
    used = None if standing.spent_nusd is None else standing.spent_nusd / standing.limit_nusd
    passed = (now_ns - standing.span.from_ns) / (standing.span.to_ns - standing.span.from_ns)
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
    return Limit(standing, used, share_bar(used, mark=passed), said)


def _sources(health: Health) -> list[dict[str, Any]]:
    """All but those that were only looked for, and are not looked for now."""
    return [row for row in health.sources if health.recording or row["how"] != "not found"]


def _notes(con: sqlite3.Connection, found: Spending, now_ns: int) -> Sequence[str]:
    """What the figures of this month and the last leave out, as reports say it."""
    since = str(found.last_month.first_day)
    table = report(con, Question("monthly", since=since, zone=found.zone.key), now_ns / SECOND_NS)
    return table.notes if table.rows else ()

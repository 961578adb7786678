"""Budgets of the settings and the ledger → how each limit stands now, as a table. Reads views; asks no clock.

The table `budget` is the writer's, and may lag behind the settings: here a temporary one of the same name, which the
view's text then reads, holds what they say now.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence

from ccostdb.budgets.entries import FILTERS, Budget, read_budgets
from ccostdb.budgets.standing import LIMITS, Standing, spans_at, spent_question, standings
from ccostdb.clock import SECOND_NS, iso
from ccostdb.errors import BadSettings
from ccostdb.reports import Question, Row, Table, left_out
from ccostdb.settings import Settings

COLUMNS = (
    *("budget", "period", "period_label", "limit_usd", "spent_usd", "left_usd", "used_share", "pace"),
    *("projected_usd", "used_up_at", "calls", "unpriced_calls"),
)
HOW = 'Write one in the settings: [[budget]], and under it name = "work", daily = 10, monthly = 150 (US dollars).'
_NUSD = 1_000_000_000
_STORED = "select name, period, limit_nusd, models, projects, agents, sources from main.budget order by budget_id"


def standings_now(con: sqlite3.Connection, budgets: Sequence[Budget], now_ns: int) -> list[Standing]:
    """Every limit of these budgets as it stands now, in their order."""
    (home_tz,) = con.execute("select home_tz from ledger").fetchone()
    con.execute("create temp table budget as select * from main.budget limit 0")
    rows = [row for budget in budgets for row in budget.rows()]
    numbered = [(number, *row) for number, row in enumerate(rows, start=1)]
    con.executemany("insert into temp.budget values (?, ?, ?, ?, ?, ?, ?, ?)", numbered)
    limits = con.execute(LIMITS).fetchall()
    if not limits:
        return []
    spans = spans_at(now_ns, home_tz)
    return standings(spans, limits, con.execute(*spent_question(spans, limits)))


def budgets_of(con: sqlite3.Connection, settings: Settings) -> tuple[Budget, ...]:
    """The budgets of the settings; where they have none, those that the process which recorded last wrote down.

    Raises BadSettings.
    """
    if settings.user_budgets:
        return read_budgets(settings)
    found: dict[str, Budget] = {}
    for name, period, limit_nusd, *filters in con.execute(_STORED):
        read = tuple(None if each is None else tuple(json.loads(each)) for each in filters)
        limits = found[name].limits if name in found else {}
        found[name] = Budget(name, {**limits, period: limit_nusd}, read)
    return tuple(found.values())


def limits_now(con: sqlite3.Connection, settings: Settings, now_ns: int) -> tuple[list[Standing], BadSettings | None]:
    """Every limit of `budgets_of` as it stands now, or why they cannot be read."""
    try:
        budgets = budgets_of(con, settings)
    except BadSettings as error:
        return [], error
    return standings_now(con, budgets, now_ns) if budgets else [], None


def budget_report(con: sqlite3.Connection, budgets: Sequence[Budget], now_ns: int) -> tuple[Table, list[Standing]]:
    """How each limit stands now, and what all of that leaves out."""
    found = standings_now(con, budgets, now_ns)
    notes = (*_left_out(con, found, now_ns), *_unknown_names(con, budgets)) if found else (f"No budgets. {HOW}",)
    return Table(COLUMNS, [_row(each, now_ns) for each in found], 3, tuple(notes), is_summed=False), found


def _row(standing: Standing, now_ns: int) -> Row:
    spent_nusd, limit_nusd = standing.spent_nusd, standing.limit_nusd
    used_up_ns = standing.used_up_ns(now_ns)
    return (
        *(standing.budget, standing.period, standing.span.label, limit_nusd / _NUSD),
        _usd(spent_nusd),
        _usd(None if spent_nusd is None else limit_nusd - spent_nusd),
        None if spent_nusd is None else spent_nusd / limit_nusd,
        standing.pace(now_ns),
        _usd(standing.projected_nusd(now_ns)),
        None if used_up_ns is None else iso(used_up_ns),
        *(standing.calls, standing.unpriced_calls),
    )


def _usd(nusd: int | None) -> float | None:
    return None if nusd is None else nusd / _NUSD


def _left_out(con: sqlite3.Connection, found: Sequence[Standing], now_ns: int) -> Iterator[str]:
    """What no total has of the longest of these periods, as reports say it."""
    since = min(standing.span.first_day for standing in found)
    for note in left_out(con, Question(since=str(since)), now_ns / SECOND_NS):
        yield f"Since {since}, {note[0].lower()}{note[1:]}"


def _unknown_names(con: sqlite3.Connection, budgets: Sequence[Budget]) -> Iterator[str]:
    """The filters that no name of the ledger fits: perhaps it is misspelt."""
    for dimension, column in zip(FILTERS, zip(*(budget.filters for budget in budgets), strict=True), strict=True):
        either = " union select kind from source" if dimension == "source" else ""
        names = [row[0] for row in con.execute(f"select name from {dimension}{either}")]
        for budget, filters in zip(budgets, column, strict=True):
            for each in filters or ():
                is_known = any(name == each or (each[-1] == "*" and name.startswith(each[:-1])) for name in names)
                if not is_known:
                    yield f"{budget.name} looks at the {dimension} {each}, of which the ledger has no call."

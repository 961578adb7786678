"""The ledger → tables of what was spent, each with what its totals leave out. Reads views; asks no clock."""

from __future__ import annotations

import re
import sqlite3
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ccostdb.clock import midnight_ns
from ccostdb.errors import BadArgument
from ccostdb.resources import sql
from ccostdb.setting_values import read_zone
from ccostdb.views import report_sql
from ccostdb.words import count_of, nearest
from ccostdb.written import usd

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

# (report, --by): the view behind it, and how many of its first columns name a row
REPORTS = {
    ("daily", None): ("daily_costs", 1),
    ("daily", "model"): ("daily_model_costs", 2),
    ("daily", "project"): ("daily_project_costs", 2),
    ("daily", "agent"): ("daily_agent_costs", 2),
    ("weekly", None): ("weekly_costs", 1),
    ("monthly", None): ("monthly_costs", 1),
    ("monthly", "model"): ("monthly_model_costs", 2),
    ("hourly", None): ("hourly_costs", 1),
    ("models", None): ("model_costs", 1),
    ("projects", None): ("project_costs", 1),
    ("agents", None): ("agent_costs", 1),
    ("sessions", None): ("session_costs", 2),
    ("sources", None): ("source_costs", 2),
    ("savings", None): ("cache_savings", 4),
}
KINDS = tuple(dict.fromkeys(kind for kind, _ in REPORTS if kind != "savings"))
PERIODS = ("daily", "weekly", "monthly", "hourly")
YEARS = range(1970, 2262)  # those whose nanoseconds SQLite can hold

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under column names; the first `keys` name the row. `notes`: what totals leave out, a line each.

    `is_summed`: numbers of several rows add up to something.
    """

    columns: tuple[str, ...]
    rows: Sequence[Row]
    keys: int = 1
    notes: tuple[str, ...] = ()
    is_summed: bool = True


@dataclass(frozen=True, slots=True)
class Question:
    """What a report is asked: local days as `read_days` takes them, a zone, a source by name or kind."""

    kind: str = "daily"
    by: str | None = None
    since: str | None = None
    until: str | None = None
    zone: str | None = None
    source: str | None = None
    cost: str = "auto"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that was understood. Days are local and both included, None is open."""

    con: sqlite3.Connection
    question: Question
    zone: ZoneInfo
    since: date | None
    until: date | None
    is_zoned: bool

    def select(self, view: str, tail: str) -> tuple[tuple[str, ...], list[Row]]:
        """Columns and rows of a cost view over the calls that were asked for."""
        statement, values = report_sql(
            view,
            since_day=str(self.since) if self.since else None,
            until_day=str(self.until) if self.until else None,
            cost=self.question.cost,
            source=self.question.source,
            is_zoned=self.is_zoned,
        )
        cursor = self.con.cursor()
        cursor.row_factory = None
        cursor.execute(f"{statement} {tail}", values)
        return tuple(column[0] for column in cursor.description), cursor.fetchall()


def report(con: sqlite3.Connection, question: Question, now_s: float) -> Table:
    """The view behind a report, over the calls that were asked for, and what its totals leave out."""
    view, keys = _view(question.kind, question.by)
    asked = _understand(con, question, now_s)
    columns, rows = asked.select(view, f"order by {_order(question)}")
    notes = _left_out(asked, columns, rows) if rows else [_nothing(asked)]
    return Table(columns, rows, keys, tuple(notes))


def left_out(con: sqlite3.Connection, question: Question, now_s: float) -> tuple[str, ...]:
    """What totals of the calls that were asked for leave out, and why, a sentence each."""
    return tuple(_left_out(_understand(con, question, now_s)))


def _left_out(asked: _Asked, columns: Sequence[str] = (), rows: Sequence[Row] = ()) -> Iterator[str]:
    yield from _uncounted(asked)
    yield from _unpriced(asked, columns, rows)
    yield from _gaps(asked)


def _view(kind: str, by: str | None) -> tuple[str, int]:
    if (kind, by) not in REPORTS:
        goes = [known for known, dimension in REPORTS if dimension == by]
        raise BadArgument(f"There is no report {kind} --by {by}.", f"--by {by} goes with {' and '.join(goes)}.")
    return REPORTS[kind, by]


def _order(question: Question) -> str:
    if question.kind == "hourly":
        return "unixepoch(hour)"  # as text, the hour that comes twice in autumn would be the wrong way round
    if question.kind == "savings":
        return "month, prompt_cache_savings_usd desc"
    dearest = "cost_usd desc nulls last, calls desc, 1"
    if question.kind in PERIODS:
        return f"1, {dearest}" if question.by else "1"
    return "started_at" if question.kind == "sessions" else dearest


def _understand(con: sqlite3.Connection, question: Question, now_s: float) -> _Asked:
    (home_zone,) = con.execute("select home_tz from ledger").fetchone()
    zone = read_zone(home_zone if question.zone is None else question.zone)
    today = datetime.fromtimestamp(now_s, zone).date()
    since = read_days(question.since, today)[0] if question.since is not None else None
    until = read_days(question.until, today)[1] if question.until is not None else None
    if since and until and since > until:
        raise BadArgument(f"The first day, {since}, is after the last, {until}.")
    _check_source(con, question.source)
    is_zoned = zone.key != home_zone
    if is_zoned:
        from ccostdb.rollups import use_zone

        use_zone(con, zone, str(since) if since else None, str(until) if until else None)
    return _Asked(con, question, zone, since, until, is_zoned)


def read_days(text: str, today: date) -> tuple[date, date]:
    """First and last day of `2026-07-01`, `2026-07`, `today`, `yesterday` or `7d` (the last seven)."""
    hint = "Write 2026-07-01, 2026-07, today, yesterday or 7d."
    try:
        first, last = _days_of(text.strip().lower(), today)
    except (ValueError, OverflowError):
        raise BadArgument(f"{text[:40]!r} is no day.", hint) from None
    if first.year not in YEARS or last.year not in YEARS:
        raise BadArgument(f"{text[:40]!r} is outside the years {YEARS[0]} to {YEARS[-1]}.", hint)
    return first, last


def _days_of(word: str, today: date) -> tuple[date, date]:
    named = {"today": 0, "yesterday": 1}
    if word in named:
        return (today - timedelta(days=named[word]),) * 2
    if word.endswith("d"):
        if not re.fullmatch("[0-9]{1,7}d", word):  # int() takes other digits, too, and _ between them
            raise ValueError(word)
        days = int(word[:-1])
        if days < 1:
            raise ValueError(word)
        return today - timedelta(days=days - 1), today
    if len(word) == len("2026-07"):
        first = date.fromisoformat(f"{word}-01")
        return first, first.replace(day=monthrange(first.year, first.month)[1])
    day = date.fromisoformat(word)
    return day, day


def _check_source(con: sqlite3.Connection, source: str | None) -> None:
    known = [name for row in con.execute("select name, kind from source") for name in row]
    if source is not None and source not in known:
        shown = {name.partition("?")[0] for name in known}  # a query may hold a key
        hint = nearest(source, shown) if known else "It has none yet: ccostdb ingest"
        raise BadArgument(f"This ledger has no source {source[:40]!r}.", hint)


def _nothing(asked: _Asked) -> str:
    words = (("of", asked.question.source), ("from", asked.since), ("to", asked.until))
    said = "".join(f" {word} {value}" for word, value in words if value)
    if said:
        return f"There are no calls{said}."
    return "The ledger has no calls yet. Record some with ccostdb ingest, or look at ccostdb demo."


def _uncounted(asked: _Asked) -> Iterator[str]:
    """The sources whose calls belong in no total, what they saw, and why."""
    statement = "select name, counted_setting from source natural join source_counted where not counted"
    why = {
        name: "Claude Code's transcripts show the same spend" if setting is None else "so it is set"
        for name, setting in asked.con.execute(statement)
    }
    source = asked.question.source
    if source:
        yield from (f"{source} is counted in no other total: {why[name]}." for name in why if name == source)
    elif why:
        columns, rows = asked.select("source_costs", "where not counted order by 1")
        for row in (dict(zip(columns, values, strict=True)) for values in rows):
            seen = f"{count_of(row['calls'], 'call')}, {_usd(row['cost_usd'])}"
            yield f"Not counted: {row['source']} with {seen}, because {why[str(row['source'])]}."


def _unpriced(asked: _Asked, columns: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """The calls whose cost is unknown, by model. Where the rows of a report say it, and none has any, nobody looks."""
    if "unpriced_calls" in columns and not any(row[columns.index("unpriced_calls")] for row in rows):
        return
    names, found = asked.select("model_costs", "where unpriced_calls > 0 order by unpriced_calls desc, 1")
    by_model = [(row[names.index("model")] or "a model not named", row[names.index("unpriced_calls")]) for row in found]
    if by_model:
        listed = [f"{count_of(calls, 'call')} of {model}" for model, calls in by_model[:3]]
        listed += [f"{count_of(len(by_model) - 3, 'other model')}"] if len(by_model) > 3 else []
        what = "reported cost" if asked.question.cost == "reported" else "price"
        yield f"Without a {what}, so in no cost: {', '.join(listed)}."


def _gaps(asked: _Asked) -> Iterator[str]:
    """The calls that are provably missing; those of sources that are not counted matter to no total."""
    since = midnight_ns(asked.since, asked.zone) if asked.since else None
    until = midnight_ns(asked.until + timedelta(days=1), asked.zone) if asked.until else None
    values = {"since_ns": since, "until_ns": until, "source": asked.question.source}
    calls, cost_usd, restarts = asked.con.execute(sql("queries/missing.sql"), values).fetchone()
    if calls:
        yield f"Missing, so in no total: {count_of(calls, 'call')}, {_usd(cost_usd)} (ccostdb export gaps)."
    if restarts:
        yield f"Missing, so in no total: calls of unknown number, in {count_of(restarts, 'restart')}."


def _usd(amount: Any) -> str:
    return "unknown cost" if amount is None else usd(amount * 1e9)

"""The ledger for pandas: each view and question as a frame. Reads only; what notebooks start from.

    from ccostdb.analysis import open_ledger

    ledger = open_ledger()
    ledger.daily_costs(since="30d").plot("day", "cost_usd")

Frames come from the same statements as `ccostdb export`; `columns` says which dtype is what.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from ccostdb.analysis.columns import frame_of, total_usd
from ccostdb.errors import CcostError
from ccostdb.export import select
from ccostdb.reports import Question, left_out
from ccostdb.resources import sql, sql_names
from ccostdb.schema import open_reader, refuse_absent
from ccostdb.setting_values import read_zone
from ccostdb.settings import Settings, load_settings

__all__ = ["Ledger", "open_ledger", "total_usd"]


def open_ledger(db: str | Path | None = None) -> Ledger:
    """The ledger of the settings (`CCOSTDB_DB`, `config.toml`), or the file `db`. CcostError where there is none."""
    with _hinting():
        settings = load_settings({"db": None if db is None else str(db)})
        refuse_absent(settings)
        return Ledger(settings)


@dataclass(frozen=True, slots=True, repr=False)
class Ledger:
    """A ledger to ask for frames: `ledger.daily_costs(since="30d")` is `ledger.frame("daily_costs", since="30d")`.

    Nothing stays open: each frame is the ledger as it is at that moment.
    """

    settings: Settings

    def frame(
        self, name: str, *, since: str | None = None, until: str | None = None, tz: str | None = None, **parameters: Any
    ) -> pd.DataFrame:
        """A view or a question; `parameters` are those of the question.

        `since` and `until` are local days, both included: 2026-07-01, 2026-07, today, yesterday or 7d (the last seven).
        `tz` is the zone of local days and of moments; without it, the home zone.
        """
        with self._reading() as con:
            columns, rows = select(con, name, since=since, until=until, tz=tz, parameters=parameters)
            return frame_of(columns, rows, _zone(con, tz))

    def left_out(self, *, since: str | None = None, until: str | None = None, tz: str | None = None) -> list[str]:
        """What totals of these days leave out, and why, in sentences: uncounted sources, unpriced calls, gaps."""
        with self._reading() as con:
            question = Question(since=since, until=until, zone=tz)
            return list(left_out(con, question, datetime.now(UTC).timestamp()))

    @property
    def zone(self) -> ZoneInfo:
        """The ledger's home time zone."""
        with self._reading() as con:
            return _zone(con)

    @property
    def today(self) -> date:
        """The local day that it is now."""
        return datetime.now(self.zone).date()

    @property
    def names(self) -> list[str]:
        """Every view and question that `frame` knows."""
        return sorted({*sql_names("views"), *sql_names("questions")})

    def __repr__(self) -> str:
        return f"Ledger({str(self.settings.db)!r})"  # the settings hold keys

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self.names]  # not super(): slots make the class anew

    def __getattr__(self, name: str) -> partial[pd.DataFrame]:
        folder = next((folder for folder in ("views", "questions") if name in sql_names(folder)), None)
        if folder is None:
            raise AttributeError(f"There is no view or question {name!r}. They are: {', '.join(self.names)}.")
        ask = partial(self.frame, name)
        ask.__doc__ = sql(f"{folder}/{name}.sql")
        return ask

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with _hinting():
            con = open_reader(self.settings)
            try:
                con.execute("begin")
                yield con
            finally:
                con.close()


def _zone(con: sqlite3.Connection, tz: str | None = None) -> ZoneInfo:
    (home_tz,) = con.execute("select home_tz from ledger").fetchone()
    return read_zone(tz or home_tz)


@contextmanager
def _hinting() -> Iterator[None]:
    """Puts the hint of an error under its sentence: a notebook shows the traceback, and no command does so for it."""
    try:
        yield
    except CcostError as error:
        if error.hint:
            error.add_note(error.hint)
        raise

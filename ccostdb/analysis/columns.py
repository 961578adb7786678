"""Rows of the ledger → a pandas frame whose dtypes follow from the names of its columns. Pure.

So an empty frame has the dtypes of a full one, and a column of which every cell is unknown keeps its own.

- Money (`*_usd`, `*_usd_estimate`), shares and rates: Float64, in US dollars. Not Decimal, with which neither numpy nor
  matplotlib can do much: a double holds every amount below two million dollars to the nano-dollar, and `total_usd`
  adds up such cells without an error.
- Counts, tokens, `*_ns`, `*_nusd`: Int64. Whether something is so: boolean. Names and other texts: string.
- Moments (`*_at`, `hour`): datetime64[ns] in a time zone. `day`, `week` (its Monday) and `month` (its first day) are
  local dates: datetime64[ns] without a zone.

What is unknown is NA (NaT), never 0. A column with a value that does not fit its name stays as it is: dtype object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from ccostdb.kinds import Kind, kind_of

CHUNK_ROWS = 50_000  # made into columns at once: rows as tuples take ten times the memory

Convert = Callable[[Sequence[Any], ZoneInfo], Any]


def _moments(values: Sequence[Any], zone: ZoneInfo) -> Any:
    times = pd.to_datetime(pd.Series(values, dtype="object"), format="ISO8601", utc=True)
    return times.dt.tz_convert(zone).dt.as_unit("ns")


def _dates(form: str, more: str = "") -> Convert:
    def convert(values: Sequence[Any], _: ZoneInfo) -> Any:
        texts = [None if value is None else f"{value}{more}" for value in values]
        return pd.to_datetime(pd.Series(texts, dtype="object"), format=form).dt.as_unit("ns")

    return convert


def _as(dtype: str) -> Convert:
    return lambda values, _: pd.Series(values, dtype="object").astype(dtype)


_KINDS: dict[Kind, Convert] = {
    **dict.fromkeys(("moment", "hour"), _moments),
    "day": _dates("%Y-%m-%d"),
    "week": _dates("%G-W%V-%u", "-1"),
    "month": _dates("%Y-%m"),
    "flag": _as("boolean"),
    **dict.fromkeys(("identity", "count"), _as("Int64")),
    **dict.fromkeys(("money", "rate", "share", "number"), _as("Float64")),
    "text": _as("string"),
}


def frame_of(columns: Sequence[str], rows: Iterable[Sequence[Any]], zone: ZoneInfo) -> pd.DataFrame:
    """A frame of rows as SQLite gives them; moments are shown in `zone`."""
    remaining = iter(rows)
    chunks = [_chunk(columns, list(islice(remaining, CHUNK_ROWS)), zone)]
    while len(chunks[-1]) == CHUNK_ROWS:
        chunks.append(_chunk(columns, list(islice(remaining, CHUNK_ROWS)), zone))
    filled = [chunk for chunk in chunks if len(chunk)] or chunks
    return filled[0] if len(filled) == 1 else pd.concat(filled, ignore_index=True)


def _chunk(columns: Sequence[str], rows: Sequence[Sequence[Any]], zone: ZoneInfo) -> pd.DataFrame:
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    frame = pd.concat([_column(name, values, zone) for name, values in zip(columns, cells, strict=True)], axis=1)
    return frame.set_axis(list(columns), axis=1)


def _column(name: str, values: Sequence[Any], zone: ZoneInfo) -> Any:
    try:
        return _KINDS[kind_of(name)](values, zone)
    except (TypeError, ValueError):
        return pd.Series(values, dtype="object")


def total_usd(amounts: pd.Series) -> Decimal | None:
    """The exact sum of a column of US dollars, each taken as the whole nano-dollars that it stands for.

    Unknown amounts are left out; None: every one is, or there is none.
    """
    known = [round(amount * 1_000_000_000) for amount in amounts.dropna()]
    return Decimal(sum(known)).scaleb(-9) if known else None

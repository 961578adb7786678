"""Calls → what each kind of token cost in a local day, project and model: the columns of CCO's own CSV, and exact.

The ledger holds what a call cost, not its parts; these come from the rates of its price book, as `ccostdb explain` has
them. Web searches are in output_cost, an advisor's tokens in the cost of their own kind. What a source reported is
shared out as the rates would have it. Where the kinds are unknown, the cost has a row of its own whose parts are NULL.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from ccostdb.clock import midnight_ns
from ccostdb.model import Usage
from ccostdb.prices.book import PriceBook
from ccostdb.prices.plan import KINDS
from ccostdb.reports.prices import price_book
from ccostdb.resources import sql

COLUMNS = [
    *("date", "project", "model"),
    *("input_cost", "output_cost", "cache_write_cost", "cache_read_cost", "total_cost"),
]
_PART_OF = (0, 1, 2, 2, 3, 1)  # where each of KINDS goes: input, output, cache write, cache read
_TOKENS = [f"{kind}_tokens" for kind in KINDS[:5]]

Row = tuple[str | float | None, ...]
Key = tuple[str | None, str | None, bool]  # project, model, whether the kinds are known


def cco_costs(con: sqlite3.Connection, since: date | None, until: date | None, zone: ZoneInfo) -> Iterator[Row]:
    """Rows of COLUMNS, by day; calls of counted sources only, in USD. The four parts add up to total_cost.

    total_cost NULL: no call of the row has a cost.
    """
    ends = [
        con.execute(f"select {end}(occurred_ns) from call").fetchone()[0] for end in ("min", "max")
    ]  # indexed, apart
    if None in ends:
        return
    first, last = (datetime.fromtimestamp(ns // 1_000_000_000, zone).date() for ns in ends)
    day, last = max(first, since or first), min(last, until or last)
    book = price_book(con)
    while day <= last:
        next_day = day + timedelta(days=1)
        yield from _rows_of(con, day, midnight_ns(day, zone), midnight_ns(next_day, zone), book)
        day = next_day


def _parts(book: PriceBook, group: sqlite3.Row) -> list[Fraction] | None:
    """Exact nano-USD of input, output, cache write and cache read; None: the kinds or their rates are unknown."""
    if group["computed_nusd"] is None or group["input_tokens"] is None:
        return None
    found = [Fraction(0)] * 4
    if group["advisor"] is not None:
        told = (*_TOKENS, "web_searches", "speed", "service_tier", "inference_geo", "advisor")
        usage = Usage._make(group[name] for name in told)
        for part in book.explain(group["model"], group["first_ns"], usage):
            found[_PART_OF[KINDS.index(part.kind)]] += Fraction(part.nusd or 0)
        return found
    used = [*(group[name] for name in _TOKENS), group["web_searches"] or 0]
    for place, count, rate in zip(_PART_OF, used, _rates(book, group), strict=True):
        found[place] += count * rate
    return found


def _rates(book: PriceBook, group: sqlite3.Row) -> list[Fraction]:
    """Nano-USD for one of each of KINDS; 0 where no rate is known, since nothing of it was used."""
    context_tokens = max(group["most_context_tokens"], 4)  # one at least of each kind of input
    usage = Usage(context_tokens - 3, 1, 1, 1, 1, 1, group["speed"], None, group["inference_geo"])
    parts = book.explain(group["model"], group["first_ns"], usage)
    return [Fraction(part.nusd_per_million or 0) / 1_000_000 for part in parts]


def _rows_of(con: sqlite3.Connection, day: date, from_ns: int, to_ns: int, book: PriceBook) -> Iterator[Row]:
    """The rows of one day, in order."""
    cursor = con.cursor()
    cursor.row_factory = sqlite3.Row
    by_key: dict[Key, list[list[int]]] = defaultdict(list)
    for group in cursor.execute(sql("queries/usage_by_rate.sql"), {"from_ns": from_ns, "to_ns": to_ns}):
        total = group["cost_nusd"]
        shares = None if total is None else _shared(total, _parts(book, group))
        by_key[group["project"], group["model"], shares is not None].append(
            [] if total is None else [*(shares or []), total]
        )
    for key in sorted(by_key, key=lambda key: (key[0] or "", key[1] or "", not key[2])):
        sums = [sum(column) / 1e9 for column in zip(*filter(None, by_key[key]), strict=True)]
        yield (str(day), *key[:2], *[None] * (5 - len(sums)), *sums)


def _shared(total: int, weights: Sequence[Fraction] | None) -> list[int] | None:
    """Whole numbers in proportion to the weights that add up to the total; what is left goes to the largest rests.

    None: the weights are unknown, or all 0 while the total is not.
    """
    whole = sum(weights) if weights else None
    if not weights or (not whole and total):
        return None
    exact = [total * weight / whole if whole else Fraction(0) for weight in weights]
    shares = [number.numerator // number.denominator for number in exact]
    rests = sorted(range(len(exact)), key=lambda place: shares[place] - exact[place])
    for place in rests[: total - sum(shares)]:
        shares[place] += 1
    return shares

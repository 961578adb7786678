"""The price book → tables for people: what a model costs, and which rates made the cost of a call."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

from ccostdb.errors import BadArgument, UnknownModel, nearest
from ccostdb.ledger import usage_of
from ccostdb.model import Call
from ccostdb.prices import PriceBook, PricedPart, Rate
from ccostdb.reports import Table
from ccostdb.resources import sql

_RATE_COLUMNS = (
    *("kind", "variant", "above_tokens", "usd_per_million", "times", "valid_from", "valid_to"),
    *("origin", "checked_on", "source_url"),
)
_PART_COLUMNS = ("model", "kind", "used", "usd_per_million", "cost_usd", "origin", "valid_from", "source_url")


def price_book(con: sqlite3.Connection) -> PriceBook:
    """The prices as the ledger holds them."""
    return PriceBook(tuple(row) for row in con.execute(f"select {', '.join(Rate._fields)} from price"))


def list_prices(con: sqlite3.Connection, wanted: str, at_s: int) -> Table:
    """The standard rates of every model whose name holds `wanted`, in USD per million tokens."""
    cursor = con.cursor()
    cursor.row_factory = None
    cursor.execute(sql("queries/prices.sql"), {"at_s": at_s})
    columns = tuple(column[0] for column in cursor.description)
    return Table(columns, [row for row in cursor if wanted.lower() in row[1].lower()], 2, is_summed=False)


def show_price(con: sqlite3.Connection, model: str, at_s: int) -> Table:
    """Every rate that may price a model at that time, weakest first; raises UnknownModel where there is none."""
    rates = price_book(con).rates(model, at_s * 1_000_000_000)
    if not rates:
        known = [row[0] for row in con.execute("select distinct model from price")]
        hint = nearest(model, known) if len(nearest(model, known)) < 100 else "See them: ccostdb prices list"
        raise UnknownModel(f"No price is known for {model[:80]!r}.", hint)
    return Table(_RATE_COLUMNS, [_rate_row(rate) for rate in rates], 2, _doubts(rates), is_summed=False)


def explain(con: sqlite3.Connection, call_id: str) -> Table:
    """What made the computed cost of a call, part by part; the notes say what it adds up to.

    Raises BadArgument for an id that the ledger does not have.
    """
    cursor = con.execute(sql("store/stored_calls.sql"), (call_id,))
    row = cursor.fetchone()
    if row is None:
        raise BadArgument(f"There is no call {call_id[:80]!r}.", "See their ids: ccostdb export calls")
    call = Call(**dict(zip((column[0] for column in cursor.description), tuple(row), strict=True)))
    if call.input_tokens is None:
        said = f"{call.total_tokens:,} tokens in all" if call.total_tokens is not None else "no tokens"
        notes = [f"The source says {said}, without kinds, so no cost is computed."]
        return Table(_PART_COLUMNS, [], keys=2, notes=(*notes, *_costs(call)))
    usage, book = usage_of(call), price_book(con)
    parts = book.explain(call.model, call.occurred_ns, usage)
    notes = list(_costs(call))
    if book.cost(call.model, call.occurred_ns, usage).computed_nusd != call.computed_nusd:
        notes.append("The prices have changed since. To compute every cost again: ccostdb reprice")
    return Table(_PART_COLUMNS, [_part_row(part) for part in parts], keys=2, notes=tuple(notes))


def _rate_row(rate: Rate) -> tuple[Any, ...]:
    per_million, is_factor = rate.nusd_per_million, rate.kind == "factor"
    return (
        rate.kind,
        rate.variant,
        rate.above_tokens,
        None if is_factor or per_million is None else per_million / 1e9,
        per_million / 1e6 if is_factor and per_million is not None else None,
        _day(rate.valid_from_s),
        _day(rate.valid_to_s),
        rate.origin,
        rate.checked_on,
        rate.source_url,
    )


def _doubts(rates: list[Rate]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{rate.model} stays unpriced: {rate.note}." for rate in rates if rate.note))


def _part_row(part: PricedPart) -> tuple[Any, ...]:
    return (
        part.model,
        part.kind,
        part.used,
        None if part.nusd_per_million is None else float(part.nusd_per_million / 10**9),
        None if part.nusd is None else float(part.nusd / 10**9),
        part.rate.origin if part.rate else None,
        _day(part.rate.valid_from_s) if part.rate else None,
        part.rate.source_url if part.rate else None,
    )


def _costs(call: Call) -> list[str]:
    """What the ledger holds for the call, to the nano-dollar."""
    costs = (
        ("Computed", call.computed_nusd),
        ("Without caching", call.uncached_nusd),
        ("Reported", call.reported_nusd),
    )
    return [f"{name}: ${nusd // 10**9}.{nusd % 10**9:09d}" for name, nusd in costs if nusd is not None]


def _day(epoch_s: int | None) -> str | None:
    return None if epoch_s is None else f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d}"

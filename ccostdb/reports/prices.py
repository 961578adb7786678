"""The price book → tables for people: what a model costs, and which rates made the cost of a call."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from ccostdb.clock import SECOND_NS
from ccostdb.errors import BadArgument, UnknownModel
from ccostdb.model import Call, call_of_row
from ccostdb.prices.book import PriceBook, PricedPart
from ccostdb.prices.plan import FACTOR, KINDS, Rate
from ccostdb.reports import Table
from ccostdb.resources import sql
from ccostdb.words import nearest

_RATE_COLUMNS = (
    *("kind", "variant", "above_tokens", "usd_per_million", "usd_per_thousand", "times", "provider"),
    *("valid_from", "valid_to", "origin", "checked_on", "source_url"),
)
_PART_COLUMNS = (
    *("model", "kind", "used", "usd_per_million", "usd_per_thousand", "cost_usd"),
    *("origin", "valid_from", "source_url"),
)
_LISTED = KINDS[:5]  # the kinds of tokens


def price_book(con: sqlite3.Connection) -> PriceBook:
    """The prices as the ledger holds them."""
    return PriceBook(tuple(row) for row in con.execute(f"select {', '.join(Rate._fields)} from price"))


def list_prices(con: sqlite3.Connection, wanted: str, at_s: int) -> Table:
    """The standard rates of every model whose name holds `wanted`, in USD per million tokens."""
    columns = ("provider", "model", *(f"{kind}_usd_per_million" for kind in _LISTED), "origin")
    rows = []
    for provider, model, rates in price_book(con).standard_rates(at_s * SECOND_NS):
        if wanted.lower() in model.lower():
            origin = max(rates.values(), key=lambda rate: rate.ordinal).origin
            rows.append((provider, model, *(_usd(rates.get(kind)) for kind in _LISTED), origin))
    notes = () if rows else (f"There is no model whose name holds {wanted[:80]!r}.",)
    return Table(columns, sorted(rows, key=lambda row: (row[0] or "", row[1])), 2, notes, is_summed=False)


def show_price(con: sqlite3.Connection, model: str, at_s: int) -> Table:
    """Every rate that may price a model at that time, weakest first; the notes say what lacks.

    Where none may, but the model is known: every rate of it. Raises UnknownModel where there is none.
    """
    book = price_book(con)
    rates = book.rates(model, at_s * SECOND_NS)
    if rates:
        notes = (*_lacks(model, [rate for rate in rates if rate.variant is None]), *_doubts(rates))
    else:
        rates = book.all_rates(model)
        notes = (_restriction(model, rates, at_s),)
    if not rates:
        known = {row[0] for row in con.execute("select distinct model from price")} - {model}
        hint = nearest(model, known) if len(nearest(model, known)) < 100 else "See them: ccostdb prices list"
        raise UnknownModel(f"No price is known for {model[:80]!r}.", hint)
    return Table(_RATE_COLUMNS, [_rate_row(rate) for rate in rates], 2, notes, is_summed=False)


def explain(con: sqlite3.Connection, call_id: str) -> Table:
    """What made the computed cost of a call, part by part; the notes say what it adds up to.

    Raises BadArgument for an id that the ledger does not have.
    """
    row = con.execute(sql("store/stored_calls.sql"), (call_id,)).fetchone()
    if row is None:
        raise BadArgument(f"There is no call {call_id[:80]!r}.", "See their ids: ccostdb export calls")
    call = call_of_row(row)
    if call.claim.usage is None:
        said = f"{call.total_tokens:,} tokens in all" if call.total_tokens is not None else "no tokens"
        notes = [f"The source says {said}, without kinds, so no cost is computed."]
        return Table(_PART_COLUMNS, [], keys=2, notes=(*notes, *_costs(call)))
    usage, model, book = call.claim.usage, call.claim.model, price_book(con)
    parts = book.explain(model, call.occurred_ns, usage)
    unknown = groupby((part for part in parts if part.nusd is None), key=lambda part: part.model)
    notes = [note for model, group in unknown for note in _unknown(model, [part.kind for part in group])]
    notes += _costs(call)
    if book.cost(model, call.occurred_ns, usage).computed_nusd != call.computed_nusd:
        notes.append("The prices have changed since. To compute every cost again: ccostdb reprice")
    return Table(_PART_COLUMNS, [_part_row(part) for part in parts], keys=2, notes=tuple(notes))


def _rate_row(rate: Rate) -> tuple[Any, ...]:
    amount, is_factor = rate.nusd_per_million, rate.kind == FACTOR
    return (
        rate.kind,
        rate.variant,
        rate.above_tokens,
        *_per_unit(rate.kind, None if is_factor else _usd(rate)),
        amount / 1e6 if is_factor and amount is not None else None,
        rate.provider,
        _day(rate.valid_from_s),
        _day(rate.valid_to_s),
        rate.origin,
        rate.checked_on,
        rate.source_url,
    )


def _usd(rate: Rate | None) -> float | None:
    return None if rate is None or rate.nusd_per_million is None else rate.nusd_per_million / 1e9


def _per_unit(kind: str, usd_per_million: float | None) -> tuple[float | None, float | None]:
    """A rate per million tokens, or per thousand of what is no token, as people write it."""
    if kind != "web_search" or usd_per_million is None:
        return usd_per_million, None
    return None, usd_per_million / 1000


def _lacks(model: str, rates: list[Rate]) -> tuple[str, ...]:
    """The kinds of tokens that leave a call unpriced."""
    known = {rate.kind for rate in rates if rate.nusd_per_million is not None}
    return _unknown(model, [kind for kind in _LISTED if kind not in known])


def _unknown(model: str | None, kinds: list[str]) -> tuple[str, ...]:
    if model is None:
        return ("The call names no model.",)
    return (f"No rate is known for {', '.join(kinds)} of {model}.",) if kinds else ()


def _restriction(model: str, rates: list[Rate], at_s: int) -> str:
    """Why none of a model's rates may price it now."""
    billed = sorted({rate.provider for rate in rates if rate.provider and rate.holds(at_s)})
    if billed:
        return f"{model} is known, but only where {' or '.join(billed)} bills it, and its name does not say so."
    return f"{model} is known, but none of its rates holds today."


def _doubts(rates: list[Rate]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{rate.model} stays unpriced: {rate.note}." for rate in rates if rate.note))


def _part_row(part: PricedPart) -> tuple[Any, ...]:
    return (
        part.model,
        part.kind,
        part.used,
        *_per_unit(part.kind, None if part.nusd_per_million is None else float(part.nusd_per_million / 10**9)),
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
        ("Reported", call.claim.reported_nusd),
    )
    return [f"{name}: ${nusd // 10**9}.{nusd % 10**9:09d}" for name, nusd in costs if nusd is not None]


def _day(epoch_s: int | None) -> str | None:
    return None if epoch_s is None else f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d}"

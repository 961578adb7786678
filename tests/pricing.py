"""What tests of money share: the whole price book, a tiny one, and usages that meet every kind and a tier."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from ccostdb.model import Usage
from ccostdb.prices.book import PriceBook
from ccostdb.prices.entries import entry_rates
from ccostdb.prices.plan import USER
from ccostdb.prices.sync import all_rates

SECOND = 1_000_000_000
MIXED = Usage(11, 222, 3_333, 4_444, 55_555)
LARGE = Usage(100_001, 222, 50_000, 25_000, 25_000)  # 200,001 tokens of input


def at(text: str) -> int:
    """Nanoseconds of a date or time, UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def day_s(text: str) -> int:
    return at(text) // SECOND


NOW = at("2026-11-01")


@cache
def whole_book() -> PriceBook:
    return PriceBook(all_rates(()))


def book_with(*entries: dict[str, Any]) -> PriceBook:
    """The whole book with these entries of a user over it."""
    return PriceBook(all_rates(entries))


def tiny_book(*entries: dict[str, Any]) -> PriceBook:
    """Nothing but these entries."""
    return PriceBook(
        rate for ordinal, entry in enumerate(entries) for rate in entry_rates(entry, USER, ordinal, ordinal)
    )


def cost(model: str | None, usage: Usage, when: str = "2026-11-01", prices: PriceBook | None = None) -> int | None:
    return (prices or whole_book()).cost(model, at(when), usage).computed_nusd


def put(usage: Usage, place: int, used: int) -> Usage:
    """The same usage with another count of one kind."""
    changed: dict[str, Any] = {Usage._fields[place]: used}
    return usage._replace(**changed)


def product(usage: Usage, per_token: tuple[int, ...]) -> int:
    """Nano-USD at rates in nano-USD per token: input, output, 5-minute write, 1-hour write, read."""
    return sum(used * price for used, price in zip(usage[:5], per_token, strict=True))

"""genai-prices → rows of table `price`. The only module that imports it, and only when rates are asked for.

Rates become integers here. What a row cannot hold becomes a row without a rate and with a note, so that it stays
unpriced instead of being priced wrongly. Kept are the providers that a model's name can point to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ccostdb.prices.names import PROVIDERS
from ccostdb.prices.plan import BOOK, Rate

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, ModelInfo, ModelPrice, Provider, TieredPrices

_NUSD = 1_000_000_000
# The kinds of genai-prices that a call of ours has, and nano-USD per million of their unit; the later is stronger.
_KINDS = {
    "input_mtok": ("input", _NUSD),
    "output_mtok": ("output", _NUSD),
    "cache_write_mtok": ("cache_write_5m", _NUSD),
    "cache_write_5m_mtok": ("cache_write_5m", _NUSD),
    "cache_write_1h_mtok": ("cache_write_1h", _NUSD),
    "cache_read_mtok": ("cache_read", _NUSD),
    "web_searches_kcount": ("web_search", 1000 * _NUSD),
}
_NEVER_OURS = re.compile("audio|image|video|document|mchars|messages|storage")  # no source counts these


class _Unrepresentable(Exception):
    """A price that rows of `price` cannot say."""


def base_rates() -> Iterator[Rate]:
    """The rates of every model, one ordinal each, in the order in which a name is tried."""
    from genai_prices.data import providers

    models = ((provider, model) for provider in providers if provider.id in PROVIDERS for model in provider.models)
    for ordinal, (provider, model) in enumerate(models, 1):
        yield from model_rates(provider, model, ordinal)


def model_rates(provider: Provider, model: ModelInfo, ordinal: int) -> list[Rate]:
    """The rates of one model; where they cannot be said, one row without a rate that notes why."""
    urls = provider.pricing_urls
    blank = Rate(
        origin=BOOK,
        provider=provider.id,
        model=model.id,
        match=json.dumps(_clause(model.match), separators=(",", ":")),
        kind="input",
        variant=None,
        above_tokens=0,
        valid_from_s=None,
        valid_to_s=None,
        nusd_per_million=None,
        ordinal=ordinal,
        source_url=urls[0] if urls else None,
        checked_on=None,
        note=None,
    )
    try:
        rates = list(_dated_rates(model, blank))
        if not any(rate.kind == "input" for rate in rates):
            raise _Unrepresentable("it is not priced by input token")
    except _Unrepresentable as reason:
        return [blank._replace(note=str(reason))]
    return rates


def _clause(match: MatchLogic) -> dict[str, Any]:
    """The clause tree as plain data: {"or": [{"equals": "x"}, …]}."""
    ((name, operand),) = vars(match).items()
    return {name.rstrip("_"): [_clause(each) for each in operand] if isinstance(operand, list) else operand}


def _dated_rates(model: ModelInfo, blank: Rate) -> Iterator[Rate]:
    """Standard prices span by span (each replaces the whole set before it), then those of other speeds."""
    edges = [None, *sorted(_starts(model)), None]
    for valid_from, valid_to in pairwise(edges):
        dated = blank._replace(valid_from_s=_epoch_s(valid_from), valid_to_s=_epoch_s(valid_to))
        yield from _rates(_active(model, valid_from), dated)
    for variant in reversed(model.price_variants or ()):  # the first is the strongest: it comes last
        if variant.when.keys() == {"speed"}:
            start = _start_date(variant.constraint)
            dated = blank._replace(variant=f"speed={variant.when['speed']}", valid_from_s=_epoch_s(start))
            yield from _rates(variant.prices, dated)


def _starts(model: ModelInfo) -> set[date]:
    if not isinstance(model.prices, list):
        return set()
    return {start for price in model.prices if (start := _start_date(price.constraint)) is not None}


def _active(model: ModelInfo, at: date | None) -> ModelPrice:
    """What genai-prices takes at a date (None: before them all): the last that has begun, else the first."""
    if not isinstance(model.prices, list):
        return model.prices
    for price in reversed(model.prices):
        start = _start_date(price.constraint)
        if start is None or (at is not None and start <= at):
            return price.prices
    return model.prices[0].prices


def _start_date(constraint: object) -> date | None:
    if constraint is None:
        return None
    start = getattr(constraint, "start_date", None)
    if not isinstance(start, date):
        raise _Unrepresentable("its price depends on the time of day")
    return start


def _rates(price: ModelPrice, dated: Rate) -> Iterator[Rate]:
    prices = {key: value for key, value in price.__dict__.items() if value is not None}
    if not prices and dated.model.endswith(":free"):
        prices = {"input_mtok": Decimal(0), "output_mtok": Decimal(0)}
    for key in prices:
        if key not in _KINDS and not _NEVER_OURS.search(key):
            raise _Unrepresentable(f"part of its price is {key}")
    for key, (kind, scale) in _KINDS.items():
        for above, amount in _steps(prices.get(key)):
            scaled = amount * scale
            is_whole = 0 <= scaled == int(scaled)
            yield dated._replace(
                kind=kind,
                above_tokens=above,
                nusd_per_million=int(scaled) if is_whole else None,
                note=None if is_whole else f"{key} {amount} is no whole number of nano-USD per million",
            )


def _steps(price: Decimal | TieredPrices | None) -> list[tuple[int, Decimal]]:
    if price is None:
        return []
    if isinstance(price, Decimal):
        return [(0, price)]
    return [(0, price.base), *((tier.start, tier.price) for tier in price.tiers)]


def _epoch_s(day: date | None) -> int | None:
    return None if day is None else int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())

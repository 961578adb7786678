"""Rows of table `price` → a plan: what each kind of token costs in each span of time and each tier. Pure.

A plan is compiled once for a model, a speed and a region: pricing a call is then a look-up and six products.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd
from typing import NamedTuple

BOOK, OVERLAY, USER = "genai-prices", "overlay", "user"  # origins: the base, and what lies over it
KINDS = (
    "input",
    "output",
    "cache_write_5m",
    "cache_write_1h",
    "cache_read",
    "web_search",
)  # as in model.Usage
FACTOR = "factor"  # a kind, too: it multiplies the rates of tokens, in millionths
STANDARD_SPEEDS = frozenset({None, "", "standard"})

_MILLION = 1_000_000
_NS = 1_000_000_000
_LONG_AGO_S = -(1 << 63)


class Rate(NamedTuple):
    """One row of table `price`; the comments there say what each column means."""

    origin: str
    provider: str | None
    model: str
    match: str
    kind: str
    variant: str | None
    above_tokens: int
    valid_from_s: int | None
    valid_to_s: int | None
    nusd_per_million: int | None
    ordinal: int
    source_url: str | None
    checked_on: str | None
    note: str | None

    def holds(self, at_s: int) -> bool:
        """Whether the rate is valid in that second."""
        return (self.valid_from_s is None or self.valid_from_s <= at_s) and (
            self.valid_to_s is None or at_s < self.valid_to_s
        )


Entry = tuple[Rate, ...]  # the rates of one ordinal


class Tier(NamedTuple):
    """The prices of a request with over `above` tokens of input: nano-USD for `divisor` units of a kind."""

    above: int
    prices: tuple[int, ...]
    divisor: int
    unknown: tuple[int, ...]  # places in KINDS without a rate; their price is 0 and means nothing
    rates: tuple[Rate | None, ...]
    factors: tuple[Rate, ...]


class Span(NamedTuple):
    """The tiers, highest first, from a moment until the next younger span. No tiers: no price is known."""

    start_ns: int
    tiers: tuple[Tier, ...]


FREE = (Span(_LONG_AGO_S * _NS, (Tier(-1, (0,) * 6, 1, (), (None,) * 6, ()),)),)


def compile_plan(entries: list[Entry], speed: str | None, geo: str | None) -> tuple[Span, ...]:
    """The spans, youngest first, of what the entries say (weakest first) of one model."""
    fast = _variant(speed)
    wanted = {None, fast, f"geo={geo}" if geo else None}
    rates = [rate for entry in entries for rate in entry if rate.variant in wanted]
    edges = {edge for rate in rates for edge in (rate.valid_from_s, rate.valid_to_s) if edge is not None}
    return tuple(
        Span(start_s * _NS, tuple(_tiers([rate for rate in rates if rate.holds(start_s)], fast)))
        for start_s in (*sorted(edges, reverse=True), _LONG_AGO_S)
    )


def _variant(speed: str | None) -> str | None:
    return None if speed in STANDARD_SPEEDS else f"speed={speed}"


def _tiers(rates: list[Rate], fast: str | None) -> Iterator[Tier]:
    """One tier for each threshold; none where input has no price, or this speed has none of its own."""
    if not any(rate.variant == fast for rate in rates):
        return
    factors = tuple({rate.variant: rate for rate in rates if rate.kind == FACTOR}.values())
    ladders = [_ladder(rates, kind, fast) for kind in KINDS]
    for above in sorted({0}.union(*ladders), reverse=True):
        found = tuple(_step(ladder, above) for ladder in ladders)
        if found[0] is not None:
            yield _tier(above, found, factors)


def _ladder(rates: list[Rate], kind: str, fast: str | None) -> dict[int, Rate]:
    """The rates of a kind by threshold, the strongest of each; a speed's replace the standard ones."""
    of_kind = [rate for rate in rates if rate.kind == kind]
    own = [rate for rate in of_kind if rate.variant == fast]
    return {rate.above_tokens: rate for rate in own or of_kind}


def _step(ladder: dict[int, Rate], above: int) -> Rate | None:
    """The rate of the highest threshold up to `above`; None where there is none, or one that is not known."""
    reached = max((step for step in ladder if step <= above), default=None)
    rate = None if reached is None else ladder[reached]
    return None if rate is None or rate.nusd_per_million is None else rate


def _tier(above: int, rates: tuple[Rate | None, ...], factors: tuple[Rate, ...]) -> Tier:
    """Brings rates and factors to one divisor, the smallest that keeps all of them whole."""
    prices = [(rate.nusd_per_million or 0) if rate else 0 for rate in rates]
    divisor = _MILLION
    for factor in factors:
        by = factor.nusd_per_million or 0
        prices = [price * (_MILLION if kind == "web_search" else by) for kind, price in zip(KINDS, prices, strict=True)]
        divisor *= _MILLION
    shared = gcd(divisor, *prices)
    unknown = tuple(place for place, rate in enumerate(rates) if rate is None)
    return Tier(above or -1, tuple(price // shared for price in prices), divisor // shared, unknown, rates, factors)

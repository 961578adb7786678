"""Usage → money: the price that held at a call's time, and what it makes of the call's tokens. Pure.

The rows come from table `price`, which sync.py writes. A kind that was used and has no rate makes the
whole cost unknown: nothing is guessed, and nothing that was used is left out of a sum.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Context, Decimal
from functools import cache
from itertools import chain, groupby
from operator import attrgetter
from typing import Any, NamedTuple

from ccostdb.model import NO_COST, SYNTHETIC, Cost, Usage
from ccostdb.prices.names import is_plain, lookups, matches, provider_of
from ccostdb.prices.plan import BOOK, FREE, KINDS, Entry, Rate, Span, Tier, compile_plan

MOST_TOKENS = 1 << 32  # of one kind in one call: beyond, sums of money could leave 64 bits
_EXACT = Context(prec=80)
_Rows = Callable[[str], Iterable[Sequence[Any]]]


class PricedPart(NamedTuple):
    """One kind of what a call used. `nusd` is exact, before rounding; None: no rate is known.

    `rate` is the row that priced it (None: unknown, or `<synthetic>`, which is free), `factors` are the rows
    that multiplied it, `nusd_per_million` is the rate with them.
    """

    model: str | None
    kind: str
    used: int
    nusd_per_million: Decimal | None
    nusd: Decimal | None
    rate: Rate | None
    factors: tuple[Rate, ...]


class PriceBook:
    """The rates of table `price`, compiled once for each model, speed and region that is met."""

    def __init__(self, rows: Iterable[Sequence[Any]], base_of: _Rows | None = None) -> None:
        """`rows` have the columns of Rate, in its order; their own order is free.

        `base_of` gives the base's rows of a provider, once one of its models is met: most never are. None: `rows` has
        them all.
        """
        self._base: dict[str | None, list[Entry]] = {}
        self._base_of = base_of
        self._plans: dict[tuple[str | None, str | None, str | None], tuple[Span, ...]] = {}
        over: list[Entry] = []
        for entry in _entries(rows):
            home = self._base.setdefault(entry[0].provider, []) if entry[0].origin == BOOK else over
            home.append(entry)
        # What lies over the base, each with the entry that its own model's name means there.
        self._over = [(entry, self._named(entry[0].model) if is_plain(entry[0].model) else None) for entry in over]

    def cost(self, model: str | None, occurred_ns: int, usage: Usage) -> Cost:
        """What the call costs, and would cost with every cached token as plain input; nano-USD, half to even.

        NO_COST where the model, or the rate of anything that was used, is unknown. A count below 0, or of
        MOST_TOKENS and more, is the caller's bug: ValueError.
        """
        sums = self._sums(model, occurred_ns, usage)
        if sums is None:
            return NO_COST
        computed, uncached, divisor = sums
        if usage.advisor:
            for other, inner in _advisors(usage):
                sums = self._sums(other, occurred_ns, inner)
                if sums is None:
                    return NO_COST
                computed = computed * sums[2] + sums[0] * divisor
                uncached = uncached * sums[2] + sums[1] * divisor
                divisor *= sums[2]
        if divisor == 1:
            return Cost(computed, uncached)
        return Cost(_half_even(computed, divisor), _half_even(uncached, divisor))

    def explain(self, model: str | None, occurred_ns: int, usage: Usage) -> list[PricedPart]:
        """What made the cost: the sum of the parts, rounded half to even, is what `cost` says."""
        parts = self._parts(model, occurred_ns, usage)
        for other, inner in _advisors(usage):
            parts += self._parts(other, occurred_ns, inner)
        return parts

    def is_priced(self, model: str | None) -> bool:
        """Whether plain input of the model has a price, at any time."""
        return any(span.tiers for span in self._plan(model, None, None))

    def rates(self, model: str, at_ns: int) -> list[Rate]:
        """Every rate that may price the model at that time, in all variants, weakest first."""
        at_s = at_ns // 1_000_000_000
        return [rate for entry in self._entries(model) for rate in entry if rate.holds(at_s)]

    def all_rates(self, model: str) -> list[Rate]:
        """Every rate of an entry that names the model, whoever bills it and whenever it holds; in a whole book."""
        entries = [*self._whole_base(), *(entry for entry, _ in self._over)]
        names = _names(model)
        return [rate for entry in entries if any(_is_match(entry, name) for name in names) for rate in entry]

    def standard_rates(self, at_ns: int) -> Iterator[tuple[str | None, str, dict[str, Rate]]]:
        """Provider and name of each model that has a standard rate then, and its rates by kind; in a whole book."""
        left = [entry for entry, _ in self._over]
        for base in self._whole_base():
            provider, model = base[0].provider, base[0].model
            over = self._lying_over(base, _names(f"{provider}/{model}"), provider)
            left = [entry for entry in left if entry not in over]
            yield from _standard(provider, model, [base, *over], at_ns)
        own: dict[tuple[str | None, str], list[Entry]] = {}
        for entry in left:
            own.setdefault((entry[0].provider, entry[0].model), []).append(entry)
        for (provider, model), entries in own.items():
            yield from _standard(provider, model, entries, at_ns)

    def _sums(self, model: str | None, occurred_ns: int, usage: Usage) -> tuple[int, int, int] | None:
        """Computed and uncached cost times a divisor, and that divisor."""
        plain, output, write_5m, write_1h, read, searches, speed, _, geo, _ = usage
        if not 0 <= plain | output | write_5m | write_1h | read | (searches or 0) < MOST_TOKENS:
            raise ValueError(f"impossible usage: {usage}")
        total = plain + write_5m + write_1h + read
        tier = self._tier(model, occurred_ns, speed, geo, total)
        if tier is None:
            return None
        _, (of_input, of_output, of_5m, of_1h, of_read, of_search), divisor, unknown, _, _ = tier
        for place in unknown:
            if usage[place]:
                return None
        alike = output * of_output + (searches * of_search if searches else 0)
        cached = write_5m * of_5m + write_1h * of_1h + read * of_read
        return plain * of_input + cached + alike, total * of_input + alike, divisor

    def _tier(self, model: str | None, at_ns: int, speed: str | None, geo: str | None, total: int) -> Tier | None:
        """The tier for `total` tokens of input, cached or not, of the span that holds at that time."""
        spans = self._plans.get((model, speed, geo))
        if spans is None:
            spans = self._plan(model, speed, geo)
        for start_ns, tiers in spans:
            if at_ns >= start_ns:
                for tier in tiers:
                    if total > tier[0]:
                        return tier
                return None
        return None

    def _plan(self, model: str | None, speed: str | None, geo: str | None) -> tuple[Span, ...]:
        key = (model, speed, geo)
        if key not in self._plans:
            if model == SYNTHETIC:
                self._plans[key] = FREE
            else:
                self._plans[key] = compile_plan(self._entries(model), speed, geo) if model else ()
        return self._plans[key]

    def _parts(self, model: str | None, occurred_ns: int, usage: Usage) -> list[PricedPart]:
        total = usage.input_tokens + sum(usage[2:5])
        tier = self._tier(model, occurred_ns, usage.speed, usage.inference_geo, total)
        parts = []
        for place, kind in enumerate(KINDS):
            used = int(usage[place] or 0)
            if not used:
                continue
            if tier is None or place in tier.unknown:
                parts.append(PricedPart(model, kind, used, None, None, None, ()))
                continue
            price, divisor = Decimal(tier.prices[place]), Decimal(tier.divisor)
            per_million = _EXACT.divide(price * 1_000_000, divisor)
            nusd = _EXACT.divide(used * price, divisor)
            factors = () if kind == "web_search" else tier.factors
            parts.append(PricedPart(model, kind, used, per_million, nusd, tier.rates[place], factors))
        return parts

    def _entries(self, model: str) -> list[Entry]:
        """The entry of the base that names the model, then all that lie over it, weakest first."""
        base = self._named(model)
        over = self._lying_over(base, _names(model), provider_of(model))
        return [base, *over] if base else over

    def _lying_over(self, base: Entry | None, names: list[str], biller: str | None) -> list[Entry]:
        """The entries that lie over one of the base, or name a model that the base does not know."""
        found = []
        for entry, same_as in self._over:
            is_named = (base is not None and same_as is base) or any(_is_match(entry, name) for name in names)
            if is_named and _is_billed(entry[0], biller, base):
                found.append(entry)
        return found

    def _named(self, model: str) -> Entry | None:
        """The first entry of the base that the model's name matches."""
        for provider, spellings in lookups(model):
            for name in spellings:
                for entry in self._base_entries(provider):
                    if _is_match(entry, name):
                        return entry
        return None

    def _whole_base(self) -> Iterator[Entry]:
        if self._base_of is not None:
            raise ValueError("only some of the base has been read")
        return chain.from_iterable(self._base.values())

    def _base_entries(self, provider: str) -> list[Entry]:
        if self._base_of is not None and provider not in self._base:
            self._base[provider] = list(_entries(self._base_of(provider)))
        return self._base.get(provider, [])


def _entries(rows: Iterable[Sequence[Any]]) -> Iterator[Entry]:
    """The rows by their ordinal."""
    ordinal = attrgetter("ordinal")
    for _, group in groupby(sorted(map(Rate._make, rows), key=ordinal), key=ordinal):
        yield tuple(group)


def _names(model: str) -> list[str]:
    """The names under which an entry may know the model."""
    return [model.lower(), *(name for _, spellings in lookups(model) for name in spellings)]


def _standard(
    provider: str | None, model: str, entries: list[Entry], at_ns: int
) -> Iterator[tuple[str | None, str, dict[str, Rate]]]:
    at_s = at_ns // 1_000_000_000
    rates = [rate for entry in entries for rate in entry if rate.variant is None and not rate.above_tokens]
    by_kind = {rate.kind: rate for rate in rates if rate.kind in KINDS and rate.holds(at_s)}
    if by_kind:
        yield provider, model, by_kind


@cache
def _clause(text: str) -> dict[str, Any]:
    clause: dict[str, Any] = json.loads(text)
    return clause


def _is_match(entry: Entry, name: str) -> bool:
    return matches(_clause(entry[0].match), name)


def _is_billed(rate: Rate, biller: str | None, base: Entry | None) -> bool:
    """Whether the rate's provider bills the model, or has its rates taken for it (as Bedrock does in Europe).

    A region is asked of the biller alone: elsewhere it is part of the model's name.
    """
    if rate.provider is None or rate.provider == biller:
        return True
    is_region = rate.variant is not None and rate.variant.startswith("geo=")
    return base is not None and base[0].provider == rate.provider and not is_region


def _half_even(numerator: int, divisor: int) -> int:
    quotient, rest = divmod(numerator, divisor)
    return quotient + (2 * rest > divisor or (2 * rest == divisor and quotient & 1))


def _advisors(usage: Usage) -> Iterator[tuple[str | None, Usage]]:
    """The extra billed iterations of a call: model and usage of each, in the call's region."""
    for each in json.loads(usage.advisor or "[]"):
        input_, output, write_5m, write_1h, read = (each.get(f"{kind}_tokens", 0) for kind in KINDS[:5])
        yield (
            each.get("model"),
            Usage(input_, output, write_5m, write_1h, read, inference_geo=usage.inference_geo),
        )

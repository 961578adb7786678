"""genai-prices as rows: each of its prices said exactly, or said to be unknown."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from typing import Any

import genai_prices
import pytest
from genai_prices.types import (
    ClauseAnd,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pricing import NOW, SECOND, day_s, put

from ccostdb.model import Usage
from ccostdb.prices.book import PriceBook
from ccostdb.prices.genai import base_rates, model_rates
from ccostdb.prices.plan import KINDS, Rate


def model_of(prices: ModelPrice | list[ConditionalPrice], *variants: PriceVariant, name: str = "m") -> ModelInfo:
    return ModelInfo(id=name, match=ClauseEquals(name), prices=prices, price_variants=list(variants) or None)


def rates_of(model: ModelInfo) -> list[Rate]:
    provider = Provider(id="p", name="P", api_pattern="", pricing_urls=["https://p.example/prices"])
    return list(model_rates(provider, model, 7))


def brief(rates: list[Rate]) -> list[tuple[Any, ...]]:
    return [(r.kind, r.variant, r.above_tokens, r.valid_from_s, r.valid_to_s, r.nusd_per_million) for r in rates]


def test_kinds_become_whole_nano_dollars_per_million() -> None:
    price = ModelPrice(
        input_mtok=Decimal("0.03"),
        output_mtok=Decimal(2),
        cache_write_mtok=Decimal("3.75"),
        cache_write_1h_mtok=Decimal(6),
        cache_read_mtok=Decimal("0.003625"),
        web_searches_kcount=Decimal(10),
    )
    assert brief(rates_of(model_of(price))) == [
        ("input", None, 0, None, None, 30_000_000),
        ("output", None, 0, None, None, 2_000_000_000),
        ("cache_write_5m", None, 0, None, None, 3_750_000_000),
        ("cache_write_1h", None, 0, None, None, 6_000_000_000),
        ("cache_read", None, 0, None, None, 3_625_000),
        ("web_search", None, 0, None, None, 10_000_000_000_000),
    ]


def test_tiers_become_thresholds() -> None:
    price = ModelPrice(input_mtok=TieredPrices(base=Decimal(1), tiers=[Tier(9, Decimal(3)), Tier(5, Decimal(2))]))
    assert brief(rates_of(model_of(price))) == [
        ("input", None, 0, None, None, 10**9),
        ("input", None, 5, None, None, 2 * 10**9),
        ("input", None, 9, None, None, 3 * 10**9),
    ]


def test_each_dated_price_replaces_the_whole_set_before_it() -> None:
    rates = rates_of(
        model_of(
            [
                ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(1), cache_read_mtok=Decimal(1))),
                ConditionalPrice(StartDateConstraint(date(2026, 1, 1)), prices=ModelPrice(input_mtok=Decimal(2))),
                ConditionalPrice(StartDateConstraint(date(2026, 2, 1)), prices=ModelPrice(input_mtok=Decimal(3))),
            ]
        )
    )
    january, february = day_s("2026-01-01"), day_s("2026-02-01")
    assert brief(rates) == [
        ("input", None, 0, None, january, 10**9),
        ("cache_read", None, 0, None, january, 10**9),
        ("input", None, 0, january, february, 2 * 10**9),
        ("input", None, 0, february, None, 3 * 10**9),
    ]


def test_a_price_before_its_first_date_is_the_first_of_the_list() -> None:
    rates = rates_of(
        model_of([ConditionalPrice(StartDateConstraint(date(2026, 1, 1)), prices=ModelPrice(input_mtok=Decimal(2)))])
    )
    assert [rate.nusd_per_million for rate in rates] == [2 * 10**9, 2 * 10**9]


def test_only_variants_of_speed_are_kept() -> None:
    price = ModelPrice(input_mtok=Decimal(1), web_searches_kcount=Decimal(1))
    fast = PriceVariant({"speed": "fast"}, ModelPrice(input_mtok=Decimal(2)), StartDateConstraint(date(2026, 1, 1)))
    batch = PriceVariant({"processing": "batch"}, ModelPrice(input_mtok=Decimal(3)))
    rates = rates_of(model_of(price, batch, fast))
    assert brief(rates)[2:] == [("input", "speed=fast", 0, day_s("2026-01-01"), None, 2 * 10**9)]


def test_of_two_variants_the_first_holds() -> None:
    variants = [PriceVariant({"speed": "fast"}, ModelPrice(input_mtok=Decimal(rate))) for rate in (2, 3)]
    rates = rates_of(model_of(ModelPrice(input_mtok=Decimal(1)), *variants))
    assert [rate.nusd_per_million for rate in rates] == [
        10**9,
        3 * 10**9,
        2 * 10**9,
    ]  # the last row is the strongest


@pytest.mark.parametrize(
    ("prices", "note"),
    [
        (
            [
                ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(1))),
                ConditionalPrice(
                    TimeOfDateConstraint(time(1, tzinfo=UTC), time(4, tzinfo=UTC)),
                    prices=ModelPrice(input_mtok=Decimal(2)),
                ),
            ],
            "its price depends on the time of day",
        ),
        (
            ModelPrice(input_mtok=Decimal(1), requests_kcount=Decimal(5)),
            "part of its price is requests_kcount",
        ),
        (
            ModelPrice(input_mtok=Decimal(1), something_new_mtok=Decimal(5)),
            "part of its price is something_new_mtok",
        ),
        (ModelPrice(audio_hours=Decimal(1)), "it is not priced by input token"),
        (ModelPrice(), "it is not priced by input token"),
    ],
)
def test_a_price_that_rows_cannot_say_becomes_one_row_without_a_rate(prices: Any, note: str) -> None:
    (rate,) = rates_of(model_of(prices))
    assert (rate.kind, rate.nusd_per_million, rate.note) == ("input", None, note)


def test_a_rate_of_broken_nano_dollars_is_unknown_alone() -> None:
    price = ModelPrice(input_mtok=Decimal(1), cache_write_mtok=Decimal("0.0833333333333"))
    whole, broken = rates_of(model_of(price))
    assert (whole.nusd_per_million, broken.nusd_per_million) == (10**9, None)
    assert broken.note is not None


def test_what_no_source_counts_is_left_out() -> None:
    price = ModelPrice(input_mtok=Decimal(1), input_audio_mtok=Decimal(9), storage_searches_kcount=Decimal(2))
    assert [rate.kind for rate in rates_of(model_of(price))] == ["input"]


def test_a_free_model_costs_nothing() -> None:
    assert [rate.nusd_per_million for rate in rates_of(model_of(ModelPrice(), name="m:free"))] == [0, 0]


def test_a_match_is_kept_as_its_clause_tree() -> None:
    match = ClauseOr([ClauseEquals("a"), ClauseAnd([ClauseStartsWith("b"), ClauseRegex(r"\d$")])])
    model = ModelInfo(id="m", match=match, prices=ModelPrice(input_mtok=Decimal(1)))
    (rate,) = rates_of(model)
    assert rate.match == r'{"or":[{"equals":"a"},{"and":[{"starts_with":"b"},{"regex":"\\d$"}]}]}'
    assert (rate.provider, rate.ordinal, rate.source_url) == ("p", 7, "https://p.example/prices")


# --- agreement with the source of the base -----------------------------------------------------------------


@cache
def base_only() -> PriceBook:
    return PriceBook(base_rates())


@cache
def names_in_both() -> dict[str, tuple[Any, Any]]:
    """Names under which our book finds the same model as genai-prices does by its id."""
    from genai_prices.data import providers

    found = {}
    for provider in providers:
        for model in provider.models:
            name = f"{provider.id}/{model.id}".lower()
            rates = base_only().rates(name, NOW)
            is_same = rates and (rates[0].provider, rates[0].model) == (provider.id, model.id)
            if is_same and base_only().is_priced(name):
                found[name] = (provider, model)
    return found


def test_most_of_the_base_can_be_found_by_name() -> None:
    by_provider = {provider.id for provider, _ in names_in_both().values()}
    assert len(names_in_both()) > 1_000
    assert {"anthropic", "openai", "google", "x-ai", "openrouter", "aws", "zai", "moonshotai"} <= by_provider


counts = st.integers(0, 60_000) | st.integers(0, 2_000_000)
usages = st.tuples(*[counts] * 5, st.none() | st.integers(0, 50)).map(lambda used: Usage(*used))


@settings(max_examples=400)
@given(st.data(), usages, st.dates(date(2024, 1, 1), date(2026, 12, 31)), st.integers(0, 86_399), st.booleans())
def test_the_cost_is_what_genai_prices_says(
    data: st.DataObject, usage: Usage, day: date, second: int, is_fast: bool
) -> None:
    name = data.draw(st.sampled_from(sorted(names_in_both())))
    provider, model = names_in_both()[name]
    when = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second)
    when_ns = int(when.timestamp()) * SECOND
    is_fast = is_fast and any(variant.when == {"speed": "fast"} for variant in model.price_variants or ())
    usage = usage._replace(speed="fast" if is_fast else None)
    rated = {rate.kind for rate in base_only().rates(name, when_ns) if rate.nusd_per_million is not None}
    for place, kind in enumerate(KINDS):
        if kind not in rated:
            usage = put(usage, place, 0)
    plain, output, write_5m, write_1h, read, searches, *_ = usage
    theirs = genai_prices.Usage(
        input_tokens=plain + write_5m + write_1h + read,
        output_tokens=output,
        cache_write_tokens=write_5m + write_1h,
        cache_write_1h_tokens=write_1h,
        cache_read_tokens=read,
        web_searches=searches or 0,
    )
    context = {"speed": "fast"} if is_fast else None
    price = model.calc_price(theirs, provider, genai_request_timestamp=when, price_context=context)
    expected = int((price.total_price * 10**9).to_integral_value(ROUND_HALF_EVEN))
    assert base_only().cost(name, when_ns, usage).computed_nusd == expected

"""Money: the price that held at a call's time, and what it makes of the call's tokens."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pricing import LARGE, MIXED, NOW, SECOND, at, cost, product, put, tiny_book, whole_book

from ccostdb.model import NO_COST, Cost, Usage
from ccostdb.prices.book import MOST_TOKENS, PriceBook
from ccostdb.prices.plan import BOOK, Rate
from ccostdb.prices.sync import all_rates

# Nano-USD per token: input, output, 5-minute write, 1-hour write, read.
LIST_PRICES = {
    "claude-3-5-haiku-20241022": (800, 4000, 1000, 1600, 80),
    "claude-sonnet-4-20250514": (3000, 15000, 3750, 6000, 300),
    "claude-opus-4-20250514": (15000, 75000, 18750, 30000, 1500),
    "claude-opus-4-1-20250805": (15000, 75000, 18750, 30000, 1500),
    "claude-sonnet-4-5-20250929": (3000, 15000, 3750, 6000, 300),
    "claude-haiku-4-5-20251001": (1000, 5000, 1250, 2000, 100),
    "claude-opus-4-5-20251101": (5000, 25000, 6250, 10000, 500),
    "claude-opus-4-6": (5000, 25000, 6250, 10000, 500),
    "claude-sonnet-4-6": (3000, 15000, 3750, 6000, 300),
    "claude-opus-4-7": (5000, 25000, 6250, 10000, 500),
}
# The whole request above 200,000 tokens of input: from when (included) until when (excluded).
LARGE_PRICES = {
    "claude-sonnet-4-20250514": ((6000, 22500, 7500, 12000, 600), "2025-08-12", None),
    "claude-sonnet-4-5-20250929": ((6000, 22500, 7500, 12000, 600), None, None),
    "claude-opus-4-6": ((10000, 37500, 12500, 20000, 1000), None, "2026-03-13"),
    "claude-sonnet-4-6": ((6000, 22500, 7500, 12000, 600), None, "2026-03-13"),
}


# --- list prices, dates, tiers -----------------------------------------------------------------------------


@pytest.mark.parametrize("model", LIST_PRICES)
@pytest.mark.parametrize("when", ["2025-06-01", "2025-11-30", "2026-03-12", "2026-11-20"])
def test_a_small_request_costs_the_list_price(model: str, when: str) -> None:
    assert cost(model, MIXED, when) == product(MIXED, LIST_PRICES[model])


@pytest.mark.parametrize("model", LIST_PRICES)
def test_a_large_request_costs_more_only_where_and_when_there_is_such_a_price(model: str) -> None:
    for when in ("2025-08-11", "2025-08-12", "2026-03-12", "2026-03-13", "2026-11-01"):
        large, start, end = LARGE_PRICES.get(model, (LIST_PRICES[model], None, None))
        holds = (start is None or start <= when) and (end is None or when < end)
        assert cost(model, LARGE, when) == product(LARGE, large if holds else LIST_PRICES[model])


@pytest.mark.parametrize("model", LARGE_PRICES)
@pytest.mark.parametrize("place", [0, 2, 3, 4])
def test_the_large_price_begins_with_the_first_token_above_200000_of_whatever_input(model: str, place: int) -> None:
    small = put(Usage(1, 7, 1, 1, 1), place, 200_000 - 3)
    large = put(small, place, 200_000 - 2)
    assert cost(model, small, "2026-03-01") == product(small, LIST_PRICES[model])
    assert cost(model, large, "2026-03-01") == product(large, LARGE_PRICES[model][0])


def test_output_does_not_count_towards_a_tier() -> None:
    usage = Usage(200_000, 100_000, 0, 0, 0)
    assert cost("claude-sonnet-4-5", usage) == product(usage, LIST_PRICES["claude-sonnet-4-5-20250929"])


def test_another_threshold_is_the_models_own() -> None:
    assert cost("claude-haiku-5-5", Usage(100_000, 1, 0, 0, 0)) == 100_000 * 100 + 500
    assert cost("claude-haiku-5-5", Usage(100_001, 1, 0, 0, 0)) == 100_001 * 500 + 2500


@pytest.mark.parametrize(
    ("model", "day"), [("claude-sonnet-4-20250514", "2025-08-12"), ("claude-opus-4-6", "2026-03-13")]
)
def test_a_price_changes_at_midnight_utc_to_the_nanosecond(model: str, day: str) -> None:
    edge = at(day)
    before, after = (whole_book().cost(model, moment, LARGE) for moment in (edge - 1, edge))
    assert before != after
    assert whole_book().cost(model, edge - 24 * 3600 * SECOND, LARGE) == before
    assert whole_book().cost(model, edge + 24 * 3600 * SECOND, LARGE) == after


def test_reads_of_sonnet_5_5_became_cheaper() -> None:
    usage = Usage(0, 0, 0, 0, 1_000)
    assert cost("claude-sonnet-5-5", usage, "2026-10-06 23:59:59") == 200_000
    assert cost("claude-sonnet-5-5", usage, "2026-10-07") == 100_000


def test_a_call_before_1970_meets_the_oldest_price() -> None:
    assert whole_book().cost("claude-opus-4-1", -1, Usage(1, 0, 0, 0, 0)) == Cost(15_000, 15_000)


# --- variants, extras --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-opus-4-7"])
def test_fast_mode_costs_six_times_the_list_price(model: str) -> None:
    fast = MIXED._replace(speed="fast")
    assert cost(model, fast) == 6 * product(MIXED, LIST_PRICES[model])


def test_fast_mode_had_a_large_price_as_long_as_standard_speed_had_one() -> None:
    fast = LARGE._replace(speed="fast")
    assert cost("claude-opus-4-6", fast, "2026-03-12") == 6 * product(LARGE, LARGE_PRICES["claude-opus-4-6"][0])
    assert cost("claude-opus-4-6", fast, "2026-03-13") == 6 * product(LARGE, LIST_PRICES["claude-opus-4-6"])


def test_a_later_model_is_fast_at_twice_the_price() -> None:
    standard = cost("claude-opus-5", MIXED)
    assert standard is not None
    assert cost("claude-opus-5", MIXED._replace(speed="fast")) == 2 * standard


@pytest.mark.parametrize("speed", [None, "", "standard"])
def test_a_standard_speed_is_the_standard_price(speed: str | None) -> None:
    assert cost("claude-opus-4-6", MIXED._replace(speed=speed)) == cost("claude-opus-4-6", MIXED)


def test_a_speed_without_a_known_price_is_unpriced() -> None:
    assert whole_book().cost("claude-sonnet-4-6", NOW, MIXED._replace(speed="fast")) == NO_COST
    assert whole_book().cost("claude-opus-4-6", NOW, MIXED._replace(speed="warp")) == NO_COST


def test_inference_in_the_us_costs_a_tenth_more_on_every_token() -> None:
    prices = LIST_PRICES["claude-opus-4-6"]
    assert cost("claude-opus-4-6", MIXED._replace(inference_geo="us")) == product(MIXED, prices) * 11 // 10
    searching = MIXED._replace(inference_geo="us", web_searches=3, speed="fast")
    assert cost("claude-opus-4-6", searching) == 6 * product(MIXED, prices) * 11 // 10 + 3 * 10_000_000


@pytest.mark.parametrize("geo", [None, "", "not_available", "global"])
def test_any_other_region_costs_nothing_more(geo: str | None) -> None:
    assert cost("claude-opus-4-6", MIXED._replace(inference_geo=geo)) == cost("claude-opus-4-6", MIXED)


@pytest.mark.parametrize("model", ["gpt-5", "us.anthropic.claude-opus-4-6-v1:0", "claude-opus-4-6@default"])
def test_the_region_matters_only_where_anthropic_bills(model: str) -> None:
    usage = Usage(1_000, 10, 0, 0, 0)
    assert cost(model, usage) is not None
    assert cost(model, usage._replace(inference_geo="us")) == cost(model, usage)


def test_a_tenth_more_is_rounded_once() -> None:
    prices = tiny_book(
        {"model": "claude-x", "input": 0.000_05},
        {"model": "claude-x", "geo": "us", "times": 1.1, "provider": "anthropic"},
    )
    us = Usage(1, 0, 0, 0, 0, inference_geo="us")
    assert [cost("claude-x", us._replace(input_tokens=n), prices=prices) for n in (9, 10, 19, 28)] == [
        0,
        1,
        1,
        2,
    ]


def test_a_thousand_web_searches_cost_ten_dollars() -> None:
    plain = cost("claude-sonnet-4-6", MIXED)
    assert plain is not None
    assert cost("claude-sonnet-4-6", MIXED._replace(web_searches=1_000)) == plain + 10 * 10**9


def test_what_was_used_and_has_no_rate_makes_the_cost_unknown() -> None:
    prices = tiny_book({"model": "m", "input": 1, "output": 2, "cache_write_5m": 3})
    assert cost("m", Usage(1, 1, 1, 0, 0), prices=prices) == 6_000
    for missing in (Usage(1, 1, 1, 1, 0), Usage(1, 1, 1, 0, 1), Usage(1, 1, 1, 0, 0, web_searches=1)):
        assert prices.cost("m", NOW, missing) == NO_COST


def advisor(model: str | None, usage: Usage) -> dict[str, Any]:
    return {
        "model": model,
        **{name: value for name, value in usage._asdict().items() if name.endswith("_tokens")},
    }


def test_an_advisor_is_priced_by_its_own_model_and_tier() -> None:
    usage = MIXED._replace(advisor=json.dumps([advisor("claude-sonnet-4-5", LARGE), advisor("claude-opus-4-7", MIXED)]))
    assert cost("claude-haiku-4-5", usage) == (
        product(MIXED, LIST_PRICES["claude-haiku-4-5-20251001"])
        + product(LARGE, LARGE_PRICES["claude-sonnet-4-5-20250929"][0])
        + product(MIXED, LIST_PRICES["claude-opus-4-7"])
    )


def test_an_advisor_without_a_price_makes_the_cost_unknown() -> None:
    for model in ("claude-none", None):
        usage = MIXED._replace(advisor=json.dumps([advisor(model, MIXED)]))
        assert whole_book().cost("claude-haiku-4-5", NOW, usage) == NO_COST


def test_a_call_and_its_advisors_are_rounded_together() -> None:
    prices = tiny_book({"model": "m", "input": 0.000_5}, {"model": "n", "input": 0.000_5})
    one = Usage(1, 0, 0, 0, 0)
    assert cost("m", one, prices=prices) == 0
    assert cost("m", one._replace(advisor=json.dumps([advisor("n", one)] * 2)), prices=prices) == 2


def test_an_advisor_is_bound_to_the_region_of_its_call_but_not_to_its_speed() -> None:
    usage = MIXED._replace(advisor=json.dumps([advisor("claude-haiku-4-5", MIXED)]), speed="fast", inference_geo="us")
    both = 6 * product(MIXED, LIST_PRICES["claude-opus-4-6"]) + product(MIXED, LIST_PRICES["claude-haiku-4-5-20251001"])
    assert cost("claude-opus-4-6", usage) == both * 11 // 10


# --- without caching ---------------------------------------------------------------------------------------


def test_without_caching_every_cached_token_is_plain_input() -> None:
    found = whole_book().cost("claude-opus-4-6", NOW, MIXED)
    plain = Usage(sum((MIXED[0], *MIXED[2:5])), MIXED.output_tokens, 0, 0, 0)
    assert found.uncached_nusd == cost("claude-opus-4-6", plain)


def test_without_caching_the_tier_is_the_same() -> None:
    found = whole_book().cost("claude-sonnet-4-5", NOW, LARGE)
    assert found.uncached_nusd == 200_001 * 6000 + 222 * 22500


def test_without_caching_an_advisor_has_none_either() -> None:
    usage = Usage(1, 0, 0, 0, 0, advisor=json.dumps([advisor("claude-opus-4-7", Usage(0, 0, 0, 0, 10))]))
    assert whole_book().cost("claude-opus-4-6", NOW, usage) == Cost(5_000 + 10 * 500, 11 * 5_000)


def test_a_cache_written_and_never_read_is_a_loss() -> None:
    found = whole_book().cost("claude-opus-4-6", NOW, Usage(0, 0, 1_000, 1_000, 0))
    assert found == Cost(6_250_000 + 10_000_000, 10_000_000)


# --- unknown, free, impossible -----------------------------------------------------------------------------


@pytest.mark.parametrize("model", [None, "", "no-such-model", "claude-none", "ollama/mistral-large", "deepseek-chat"])
def test_an_unknown_model_has_no_cost_even_without_tokens(model: str | None) -> None:
    assert whole_book().cost(model, NOW, Usage(0, 0, 0, 0, 0)) == NO_COST
    assert whole_book().cost(model, NOW, MIXED) == NO_COST
    assert not whole_book().is_priced(model)


def test_no_tokens_of_a_known_model_cost_nothing() -> None:
    assert whole_book().cost("claude-opus-4-6", NOW, Usage(0, 0, 0, 0, 0)) == Cost(0, 0)


def test_what_claude_code_made_itself_is_free() -> None:
    assert whole_book().cost("<synthetic>", NOW, MIXED._replace(speed="fast", web_searches=1)) == Cost(0, 0)
    assert whole_book().is_priced("<synthetic>")


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("count", [-1, MOST_TOKENS, 1 << 70])
def test_impossible_counts_are_refused(place: int, count: int) -> None:
    usage = put(MIXED, place, count)
    with pytest.raises(ValueError, match="impossible usage"):
        whole_book().cost("claude-opus-4-6", NOW, usage)


# --- rounding and its properties ---------------------------------------------------------------------------


@pytest.mark.parametrize(("tokens", "nusd"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 2), (6, 3), (7, 4)])
def test_half_a_nano_dollar_goes_to_the_even_side(tokens: int, nusd: int) -> None:
    prices = tiny_book({"model": "m", "input": 0.000_5})  # half a nano-USD per token
    assert cost("m", Usage(tokens, 0, 0, 0, 0), prices=prices) == nusd


counts = st.integers(0, 60_000) | st.integers(0, 2_000_000)
usages = st.tuples(*[counts] * 5, st.none() | st.integers(0, 50)).map(lambda used: Usage(*used))
moments = st.integers(at("2024-01-01"), at("2027-01-01"))


@given(usages, moments, st.sampled_from([0, 1, 2, 3, 4, 5]), st.integers(1, 1000))
def test_more_of_anything_never_costs_less(usage: Usage, when: int, place: int, more: int) -> None:
    larger = put(usage, place, int(usage[place] or 0) + more)
    for model in ("claude-sonnet-4-5", "claude-opus-4-6", "claude-haiku-5-5"):
        before, after = whole_book().cost(model, when, usage), whole_book().cost(model, when, larger)
        assert before.computed_nusd is not None
        assert after.computed_nusd is not None
        assert before.computed_nusd < after.computed_nusd


@given(usages, usages, moments)
def test_within_one_tier_costs_add_up(left: Usage, right: Usage, when: int) -> None:
    both = left
    for place in range(6):
        both = put(both, place, int(left[place] or 0) + int(right[place] or 0))
    found = [whole_book().cost("claude-opus-4-5", when, usage) for usage in (left, right, both)]
    for name in ("computed_nusd", "uncached_nusd"):
        one, two, sum_of_both = (getattr(each, name) for each in found)
        assert one + two == sum_of_both


@given(usages, moments, st.sampled_from([None, "fast"]), st.sampled_from([None, "us"]), st.none() | usages)
def test_the_explained_parts_make_the_cost(
    usage: Usage, when: int, speed: str | None, geo: str | None, other: Usage | None
) -> None:
    extra = json.dumps([advisor("claude-haiku-5-5", other)]) if other else None
    usage = usage._replace(speed=speed, inference_geo=geo, advisor=extra)
    parts = whole_book().explain("claude-opus-4-6", when, usage)
    total = sum((part.nusd for part in parts if part.nusd is not None), Decimal(0))
    assert (
        int(total.to_integral_value(ROUND_HALF_EVEN)) == whole_book().cost("claude-opus-4-6", when, usage).computed_nusd
    )


# --- what the book says of itself --------------------------------------------------------------------------


def test_an_explanation_names_rate_origin_source_and_validity() -> None:
    usage = LARGE._replace(inference_geo="us", web_searches=2)
    parts = {part.kind: part for part in whole_book().explain("claude-sonnet-4-20250514", NOW, usage)}
    assert list(parts) == ["input", "output", "cache_write_5m", "cache_write_1h", "cache_read", "web_search"]
    read = parts["cache_read"]
    assert (read.used, read.nusd_per_million, read.nusd) == (
        25_000,
        Decimal(660_000_000),
        Decimal(16_500_000),
    )
    assert read.rate is not None
    assert (read.rate.origin, read.rate.above_tokens, read.rate.checked_on) == (
        "overlay",
        200_000,
        "2026-11-21",
    )
    assert read.rate.valid_from_s == at("2025-08-12") // SECOND
    assert read.rate.source_url is not None
    assert [factor.variant for factor in read.factors] == ["geo=us"]
    assert parts["web_search"].rate is not None
    assert (parts["web_search"].rate.origin, parts["web_search"].factors) == (BOOK, ())


def test_an_explanation_shows_what_has_no_rate() -> None:
    (part,) = whole_book().explain("no-such-model", NOW, Usage(5, 0, 0, 0, 0))
    assert part == ("no-such-model", "input", 5, None, None, None, ())


def test_the_rates_of_a_model_are_those_of_that_time() -> None:
    tiers = {rate.above_tokens for rate in whole_book().rates("claude-sonnet-4-6", at("2026-03-12"))}
    assert tiers == {0, 200_000}
    assert {rate.above_tokens for rate in whole_book().rates("claude-sonnet-4-6", at("2026-03-13"))} == {0}


def test_the_order_of_rows_changes_nothing() -> None:
    rows = [tuple(rate) for rate in all_rates(())]
    assert PriceBook(reversed(rows)).cost("claude-sonnet-4-20250514", NOW, LARGE) == whole_book().cost(
        "claude-sonnet-4-20250514", NOW, LARGE
    )


def test_a_price_that_is_known_to_be_unknown_hides_what_lies_after_it() -> None:
    first = Rate(BOOK, "openai", "a", '{"starts_with":"gpt-"}', "input", None, 0, None, None, None, 1, None, None, "?")
    second = first._replace(model="b", ordinal=2, nusd_per_million=10**9)
    assert PriceBook([first, second]).cost("gpt-9", NOW, Usage(1, 0, 0, 0, 0)) == NO_COST

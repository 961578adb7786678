"""The user's own rates: what an entry may say, and which calls it prices."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from pricing import MIXED, NOW, book_with, cost, day_s, product

from ccostdb.errors import BadSettings
from ccostdb.model import NO_COST, Usage
from ccostdb.prices.entries import entry_rates
from ccostdb.prices.plan import USER, Rate

OPUS_4_6 = (5000, 25000, 6250, 10000, 500)  # nano-USD per token


def user_rates(**entry: Any) -> list[Rate]:
    return entry_rates(entry, USER, 1, 7)


def test_an_entry_becomes_a_row_for_each_of_its_rates() -> None:
    rates = user_rates(
        model="m",
        provider="p",
        input=0.1,
        output=2,
        cache_read=0.01,
        cache_write_5m=0.125,
        cache_write_1h=0.2,
        web_search_per_thousand=10,
        above_tokens=5,
        speed="fast",
        valid_from=date(2026, 1, 1),
        valid_until="2026-02-01",
        source="contract",
        checked=date(2026, 1, 2),
    )
    assert {rate.kind: rate.nusd_per_million for rate in rates} == {
        "input": 100_000_000,
        "output": 2_000_000_000,
        "cache_read": 10_000_000,
        "cache_write_5m": 125_000_000,
        "cache_write_1h": 200_000_000,
        "web_search": 10_000_000_000_000,
    }
    assert {rate[9:] for rate in [r._replace(nusd_per_million=0, ordinal=0) for r in rates]} == {
        (0, 0, "contract", "2026-01-02", None)
    }
    (same,) = {(r.provider, r.model, r.match, r.variant, *r[6:9]) for r in rates}
    assert same == ("p", "m", '{"equals": "m"}', "speed=fast", 5, day_s("2026-01-01"), day_s("2026-02-01"))


def test_a_time_with_an_offset_is_that_moment() -> None:
    (rate,) = user_rates(model="m", input=1, valid_from=datetime.fromisoformat("2026-01-01T02:00:00+02:00"))
    assert rate.valid_from_s == day_s("2026-01-01")


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"input": 1}, "either model or match"),
        ({"model": "m", "match": {"equals": "m"}, "input": 1}, "either model or match"),
        ({"model": "m"}, "should have rates"),
        ({"model": "m", "input": 1, "times": 2}, "times alone"),
        ({"model": "m", "imput": 1}, "unknown key imput"),
        ({"model": "m", "input": "3"}, "should be a number"),
        ({"model": "m", "input": True}, "should be a number"),
        ({"model": "m", "input": -1}, "between 0 and"),
        ({"model": "m", "input": float("nan")}, "between 0 and"),
        ({"model": "m", "input": float("inf")}, "between 0 and"),
        ({"model": "m", "input": 1e-10}, "more decimals"),
        ({"model": "m", "input": 1, "above_tokens": -1}, "above_tokens"),
        ({"model": "m", "input": 1, "above_tokens": 1.5}, "above_tokens"),
        ({"model": "m", "times": 2, "above_tokens": 5}, "leave above_tokens out"),
        ({"model": "m", "input": 1, "valid_from": "soon"}, "should be a date"),
        ({"model": "m", "input": 1, "valid_from": 2026}, "should be a date"),
        (
            {"model": "m", "input": 1, "valid_from": "2026-02-01", "valid_until": "2026-02-01"},
            "before valid_until",
        ),
        ({"model": "m", "input": 1, "geo": "us"}, "geo goes with times"),
        ({"model": "m", "times": 1, "geo": "us", "speed": "fast"}, "exclude each other"),
        ({"model": "", "input": 1}, "model should be a text"),
        ({"model": 4, "input": 1}, "model should be a text"),
        ({"model": "m", "input": 1, "provider": []}, "provider should be a text"),
        ({"match": "m", "input": 1}, "one clause"),
        ({"match": {}, "input": 1}, "one clause"),
        ({"match": {"equals": "a", "contains": "b"}, "input": 1}, "one clause"),
        ({"match": {"like": "a"}, "input": 1}, "knows no 'like'"),
        ({"match": {"equals": 4}, "input": 1}, "should be a text"),
        ({"match": {"or": []}, "input": 1}, "list of clauses"),
        ({"match": {"or": [{"regex": "("}]}, "input": 1}, "regex"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named(entry: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadSettings) as caught:
        user_rates(**entry)
    assert complaint in caught.value.message
    assert caught.value.message.startswith("[[price]] 1 (")
    assert caught.value.hint


def test_a_misspelt_key_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadSettings) as caught:
        user_rates(model="m", cache_write5m=1)
    assert caught.value.hint == "Did you mean cache_write_5m?"


# --- what they price ---------------------------------------------------------------------------------------


def test_a_user_can_price_a_model_that_nobody_knows() -> None:
    prices = book_with({"model": "My/Own-Model", "input": 1.5, "output": 2})
    assert cost("My/Own-Model", Usage(2, 3, 0, 0, 0), prices=prices) == 9_000
    assert cost("my/own-model", Usage(2, 3, 0, 0, 0), prices=prices) == 9_000
    assert cost("my/own-model-2", Usage(2, 3, 0, 0, 0), prices=prices) is None
    assert prices.is_priced("My/Own-Model")


def test_a_users_rate_replaces_only_what_it_names() -> None:
    prices = book_with({"model": "claude-opus-4-6", "cache_read": 0.25})
    assert cost("claude-opus-4-6", MIXED, prices=prices) == product(MIXED, (5000, 25000, 6250, 10000, 250))


@pytest.mark.parametrize(
    "name", ["claude-opus-4-6-20260205", "anthropic/claude-opus-4.6", "eu.anthropic.claude-opus-4-6-v1:0"]
)
def test_a_users_rate_for_a_model_holds_for_all_its_names(name: str) -> None:
    prices = book_with({"model": "claude-opus-4-6", "input": 1})
    assert cost(name, Usage(1, 0, 0, 0, 0), prices=prices) == 1_000


def test_a_users_rate_for_anthropic_does_not_touch_bedrocks_own() -> None:
    prices = book_with({"model": "claude-opus-4-6", "input": 1})
    name = "us.anthropic.claude-opus-4-6-v1:0"
    assert cost(name, MIXED, prices=prices) == cost(name, MIXED)


def test_a_users_rate_for_a_gateways_name_holds_there_alone() -> None:
    prices = book_with({"model": "openrouter/anthropic/claude-opus-4.6", "input": 1})
    assert cost("openrouter/anthropic/claude-opus-4.6", Usage(1, 0, 0, 0, 0), prices=prices) == 1_000
    assert cost("claude-opus-4-6", Usage(1, 0, 0, 0, 0), prices=prices) == 5_000


def test_a_users_rate_may_hold_for_one_provider() -> None:
    prices = book_with({"match": {"contains": "claude-opus-4-6"}, "provider": "aws", "input": 1})
    one = Usage(1, 0, 0, 0, 0)
    assert cost("us.anthropic.claude-opus-4-6-v1:0", one, prices=prices) == 1_000
    assert cost("eu.anthropic.claude-opus-4-6-v1:0", one, prices=prices) == 1_000
    assert cost("claude-opus-4-6", one, prices=prices) == 5_000


def test_of_two_rates_of_the_user_the_later_holds() -> None:
    prices = book_with({"model": "m", "input": 1}, {"match": {"equals": "m"}, "input": 2})
    assert cost("m", Usage(1, 0, 0, 0, 0), prices=prices) == 2_000


def test_a_users_rate_may_hold_for_a_time_a_tier_and_a_speed() -> None:
    prices = book_with(
        {"model": "m", "input": 1, "valid_from": date(2026, 1, 1), "valid_until": date(2026, 2, 1)},
        {"model": "m", "input": 2, "above_tokens": 10},
        {"model": "m", "input": 7, "speed": "fast"},
    )
    small, large = Usage(10, 0, 0, 0, 0), Usage(11, 0, 0, 0, 0)
    assert cost("m", small, "2025-12-31 23:59:59", prices) is None
    assert cost("m", small, "2026-01-01", prices) == 10_000
    assert cost("m", small, "2026-01-31 23:59:59", prices) == 10_000
    assert cost("m", small, "2026-02-01", prices) is None
    assert cost("m", large, "2026-01-15", prices) == 22_000
    assert cost("m", large._replace(speed="fast"), "2026-01-15", prices) == 77_000


def test_a_users_discount_is_a_factor_on_every_token() -> None:
    prices = book_with({"match": {"starts_with": "claude-"}, "provider": "anthropic", "times": 0.85})
    usage = MIXED._replace(web_searches=1, inference_geo="us")
    expected = product(MIXED, OPUS_4_6) * 85 * 11 // 1000 + 10_000_000
    assert cost("claude-opus-4-6", usage, prices=prices) == expected


def test_a_factor_alone_prices_nothing() -> None:
    prices = book_with({"model": "m", "times": 2})
    assert prices.cost("m", NOW, MIXED) == NO_COST

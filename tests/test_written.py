"""Numbers as people read them, and what the name of a column says of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ccostdb import written
from ccostdb.clock import DAY_NS, SECOND_NS
from ccostdb.kinds import adds_up, kind_of
from ccostdb.written import age, ago, change, compared, exact_usd, form_of, per_second, percent, short, usd, usd_tick

USD = 10**9
NOW = 1_763_467_200 * SECOND_NS


def test_what_is_unknown_is_a_dash_and_what_is_tiny_is_not_nothing() -> None:
    assert [usd(each) for each in (None, 0, 1, 42 * 10**4, 42 * 10**5, 42 * 10**7, -2 * USD, 1_234_567_890_123)] == [
        *("–", "$0.00", "<$0.000001", "$0.000420", "$0.0042", "$0.42", "-$2.00", "$1,234.57"),
    ]
    assert [percent(each) for each in (None, 0, 0.0001, 0.034, 0.5, 0.9999, 1, 12.3)] == [
        *("–", "0 %", "<0.1 %", "3.4 %", "50 %", ">99.9 %", "100 %", "1,230 %"),
    ]
    assert [short(each) for each in (None, 0, 9999, 12_345, 999_999, 5_900_000, 14 * 10**9)] == [
        *("–", "0", "9,999", "12 k", "1.0 M", "5.9 M", "14 B"),
    ]
    assert exact_usd(-143_740_728_954) == "-$143.740728954"
    assert [ago(each, NOW) for each in (None, NOW, NOW - 180 * SECOND_NS, NOW - 3 * DAY_NS, NOW + DAY_NS)] == [
        *("never", "just now", "3 min ago", "3 d ago", "in the future"),
    ]
    assert [age(each) for each in (None, -3, 59, 61, 7200, 200_000)] == ["–", "0 s", "59 s", "1 min", "2 h", "2 d"]
    assert [per_second(each) for each in (0, 0.25, 4.21, 118.4)] == ["0", "0.25", "4.2", "118"]
    assert [usd_tick(each) for each in (0, 0.0005, 0.05, 2.5, 20, -2500, 25_000)] == [
        *("$0", "$0.0005", "$0.05", "$2.50", "$20", "-$2.5k", "$25k"),
    ]


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("money", [1234.5, 0.004, 0.0], ["$1,234.50", "<$0.01", "$0.00"]),
        ("money", [1.5, 0.05], ["$1.50", "$0.05"]),
        ("money", [0.3, 0.0123], ["$0.3000", "$0.0123"]),
        ("money", [0.0042, 0.00001], ["$0.004200", "$0.000010"]),
        ("rate", [3.0, 0.3125], ["$3.0000", "$0.3125"]),
        ("share", [0.5, 0.25], ["50 %", "25 %"]),
        ("share", [0.5, 0.034], ["50.0 %", "3.4 %"]),
        ("count", [1234], ["1,234"]),
        ("number", [1234.56, 5.0, 0.00312], ["1,235", "5", "0.00312"]),
        ("identity", [1234], ["1234"]),
        ("flag", [1, 0], ["yes", "no"]),
    ],
)
def test_the_numbers_of_a_column_have_the_same_digits(kind: written.Kind, values: list[float], said: list[str]) -> None:
    assert list(map(form_of(kind, values), values)) == said


@pytest.mark.parametrize(
    ("now", "then", "short_form", "said"),
    [
        (0, 0, ("", "–"), ("", "As then")),
        (5, 5, ("", "0 %"), ("", "As then")),
        (5, 0, ("", "–"), ("▲", "It was $0.00 then")),
        (None, 5, ("", "–"), ("", "No comparison with then: a cost is unknown")),
        (150, 100, ("▲", "50 %"), ("▲", "50 % more than then")),
        (50, 100, ("▼", "50 %"), ("▼", "50 % less than then")),
        (1001, 1000, ("▲", "<1 %"), ("▲", "<1 % more than then")),
        (500, 100, ("▲", "5.0 ×"), ("▲", "5.0 × then")),
        (0, 100, ("▼", "100 %"), ("▼", "100 % less than then")),
    ],
)
def test_a_change_is_said_in_words(
    now: int | None, then: int | None, short_form: tuple[str, str], said: tuple[str, str]
) -> None:
    assert (change(now, then), compared(now, then, "then")) == (short_form, said)


def test_the_name_of_a_column_says_what_it_holds() -> None:
    names = {
        "moment": "at last_at", "day": "day first_day", "month": "month", "flag": "counted is_current has_calls",
        "identity": "occurred_ns bucket_s activity_id", "rate": "input_usd_per_million usd_per_thousand",
        "money": "cost_usd response_cache_savings_usd_estimate session_warn_threshold_usd input_cost",
        "share": "share used_share saturation threshold", "number": "seconds reads_per_write context_used_pct",
        "count": "calls tokens_used context_tokens_per_call latency_ms cost_nusd conflicts head_bytes uptime_s",
        "text": "model session_id usd_text agents counted_setting",
    }  # fmt: skip
    found = {name: kind_of(name) for several in names.values() for name in several.split()}
    assert found == {name: kind for kind, several in names.items() for name in several.split()}


def test_a_number_of_any_view_has_a_kind_unless_it_names_something(week: Path) -> None:
    with closing(sqlite3.connect(week)) as con:
        for (view,) in con.execute("select name from sqlite_schema where type = 'view'").fetchall():
            rows = con.execute(f"select * from {view} limit 300")
            for column, values in zip(rows.description, zip(*rows, strict=True), strict=False):
                is_number = any(isinstance(value, int | float) for value in values)
                is_named = column[0].endswith("_id") or column[0] == "counted_setting"
                assert is_named or not is_number or kind_of(column[0]) != "text", (view, column[0])


def test_sums_are_made_of_what_rows_do_not_share() -> None:
    assert all(map(adds_up, ("cost_usd", "savings_usd_estimate", "input_tokens", "calls", "response_cache_hits")))
    assert not any(map(adds_up, ("sessions", "share", "input_usd_per_million", "latency_ms", "day")))

"""[[budget]] of the settings: what is read, what is refused with a sentence, and which days a period has."""

from __future__ import annotations

import tomllib
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccostdb.budgets.entries import Budget, read_budgets, threshold_nusd
from ccostdb.clock import calendar_row, parse_ns, span_at
from ccostdb.errors import BadSettings
from ccostdb.settings import Settings, load_settings

HOUR_NS = 3600 * 10**9
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Kiritimati")


def read(text: str) -> tuple[Budget, ...]:
    return read_budgets(Settings(Path("x"), user_budgets=tuple(tomllib.loads(text)["budget"])))


def one(text: str) -> Budget:
    (budget,) = read(f"[[budget]]\n{text}")
    return budget


def test_a_budget_has_a_limit_for_each_period_and_a_name_for_each_filter() -> None:
    budget = one(
        'name = "work"\nmonthly = 150\ndaily = 10.1\nweekly = 0.000000001\nmodel = "claude-opus-*"\n'
        'project = ["/a", "/b"]\nagent = "Explore"\nsource = "cco"\nalert_at = [1, 0.8, 0.8]\ncommand = "say \'a b\' c"'
    )
    assert budget == Budget(
        "work",
        {"day": 10_100_000_000, "week": 1, "month": 150_000_000_000},
        (("claude-opus-*",), ("/a", "/b"), ("Explore",), ("cco",)),
        (0.8, 1.0),
        ("say", "a b", "c"),
    )
    assert [row[:4] for row in budget.rows()] == [
        ("work", "day", 10_100_000_000, '["claude-opus-*"]'),
        ("work", "week", 1, '["claude-opus-*"]'),
        ("work", "month", 150_000_000_000, '["claude-opus-*"]'),
    ]


def test_what_is_not_said_is_half_four_fifths_and_all_and_no_filter_and_no_command() -> None:
    budget = one('name = "a"\ndaily = 1')
    assert (budget.alert_at, budget.filters, budget.command) == ((0.5, 0.8, 1.0), (None,) * 4, None)
    assert budget.rows() == [("a", "day", 10**9, None, None, None, None)]


def test_a_command_may_be_a_list_of_words_and_no_shell_reads_either_form() -> None:
    assert one('name = "a"\ndaily = 1\ncommand = ["a b", "$c", "; d"]').command == ("a b", "$c", "; d")
    assert one('name = "a"\ndaily = 1\ncommand = "x; y | z"').command == ("x;", "y", "|", "z")


GOOD = {"name": "n", "daily": 1}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": None}, "should have a name"),
        ({"name": " "}, "name should be a text, not ' '"),
        ({"name": "a\0b"}, "name should be a text"),
        ({"name": 3}, "name should be a text, not 3"),
        ({"daily": None}, "should have a limit"),
        ({"daily": 0}, "daily should be US dollars above 0"),
        ({"daily": -1.5}, "not -1.5"),
        ({"daily": True}, "daily should be a number, not True"),
        ({"daily": "10"}, "daily should be a number, not '10'"),
        ({"daily": float("nan")}, "daily should be a number, not nan"),
        ({"daily": float("inf")}, "daily should be a number, not inf"),
        ({"daily": 1e10}, "at most 1,000,000,000"),
        ({"weekly": 0.0000000001}, "weekly has more decimals than can be kept"),
        ({"model": ""}, "model should be a text"),
        ({"model": []}, "model should be a text, or a list of one or more"),
        ({"project": ["a", 1]}, "project should be a text, not 1"),
        ({"agent": {"a": 1}}, "agent should be a text"),
        ({"alert_at": 0.5}, "alert_at should be a list of shares"),
        ({"alert_at": [0]}, "share above 0"),
        ({"alert_at": [80]}, "at most 10, not 80"),
        ({"alert_at": ["0.5"]}, "each of alert_at should be a number"),
        ({"command": []}, "command should be a text, or a list of words"),
        ({"command": "say 'a"}, "No closing quotation"),
        ({"command": ["a", 1]}, "command should be a text, or a list of words"),
        ({"command": 5}, "a list of words, not 5"),
        ({"command": "'' b"}, "of which the first names a program"),
    ],
)
def test_what_cannot_be_used_is_refused_with_one_sentence(changes: dict[str, Any], said: str) -> None:
    entry = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    with pytest.raises(BadSettings) as refused:
        read_budgets(Settings(Path("x"), user_budgets=({"name": "first", "daily": 1}, entry)))
    assert refused.value.message.startswith("[[budget]] 2 (")
    assert said in refused.value.message
    assert refused.value.message.count("\n") == 0


def test_an_unknown_key_is_answered_with_the_nearest() -> None:
    with pytest.raises(BadSettings) as refused:
        one('name = "a"\ndayly = 1')
    assert (refused.value.message, refused.value.hint) == (
        "[[budget]] 1 (a) has an unknown key dayly.",
        "Did you mean daily?",
    )


def test_two_budgets_have_two_names() -> None:
    with pytest.raises(BadSettings, match=r"\[\[budget\]\] 2 \(a\): another one has its name"):
        read('[[budget]]\nname = "a"\ndaily = 1\n[[budget]]\nname = "a"\nweekly = 1')


def test_a_command_of_a_budget_may_run_ccostdb_whose_settings_pass_over_what_it_is_told(tmp_path: Path) -> None:
    told = {"CCOSTDB_BUDGET_NAME": "a", "CCOSTDB_BUDGET_SPENT_USD": "1.00"}
    assert load_settings(environ=told, folder=tmp_path, config_folder=tmp_path).origins == {}
    with pytest.raises(BadSettings, match="CCOSTDB_BUDGETS is unknown"):
        load_settings(environ={"CCOSTDB_BUDGETS": "a"}, folder=tmp_path, config_folder=tmp_path)


@given(st.integers(1, 10**18), st.integers(1, 10_000))
def test_a_threshold_is_the_least_money_that_is_such_a_share(limit_nusd: int, per_mille: int) -> None:
    least = threshold_nusd(limit_nusd, per_mille / 1000)
    assert (least - 1) * 1000 < limit_nusd * per_mille <= least * 1000


@pytest.mark.parametrize(
    ("zone", "at", "hours"),
    [
        ("UTC", "2026-03-29T12:00:00Z", 24),
        ("Europe/Berlin", "2026-03-29T12:00:00Z", 23),
        ("Europe/Berlin", "2026-10-25T00:30:00Z", 25),
        ("America/Sao_Paulo", "2018-11-04T12:00:00Z", 23),  # it began at 1 o'clock
    ],
)
def test_a_day_with_a_clock_change_is_as_long_as_it_is(zone: str, at: str, hours: int) -> None:
    span = span_at("day", parse_ns(at) or 0, ZoneInfo(zone))
    assert span.to_ns - span.from_ns == hours * HOUR_NS


@pytest.mark.parametrize(
    ("at", "label", "first"),
    [
        ("2026-12-31T12:00:00Z", "2026-W53", date(2026, 12, 28)),
        ("2027-01-03T23:59:59Z", "2026-W53", date(2026, 12, 28)),
        ("2027-01-04T00:00:00Z", "2027-W01", date(2027, 1, 4)),
        ("2024-12-30T00:00:00Z", "2025-W01", date(2024, 12, 30)),
    ],
)
def test_a_week_bears_the_year_of_its_thursday(at: str, label: str, first: date) -> None:
    span = span_at("week", parse_ns(at) or 0, ZoneInfo("UTC"))
    assert (span.label, span.first_day, span.to_ns - span.from_ns) == (label, first, 7 * 24 * HOUR_NS)


@given(st.integers(0, 2 * 10**9), st.sampled_from(ZONES), st.sampled_from(("day", "week", "month")))
def test_a_span_holds_now_has_the_calendars_label_and_the_next_begins_where_it_ends(
    now_s: int, name: str, period: str
) -> None:
    zone = ZoneInfo(name)
    span = span_at(period, now_s * 10**9, zone)
    assert span.from_ns <= now_s * 10**9 < span.to_ns
    assert span.label == getattr(calendar_row(now_s // 900 * 900, zone), period)
    after = span_at(period, span.to_ns, zone)
    assert (after.from_ns, after.label != span.label) == (span.to_ns, True)
    local = datetime.fromtimestamp(now_s, zone).date()
    assert span.first_day <= local < span.first_day + timedelta(days=32)

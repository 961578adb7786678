"""Cells of tables: what a number means is seen, and a text from elsewhere is text."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from served import get
from sized_ledgers import HOSTILE

from ccostdb.datasette_plugin.cells import render

BERLIN = ZoneInfo("Europe/Berlin")


def shown(column: str, value: object) -> str:
    """What a person reads of a cell."""
    html = render(column, value, BERLIN, 300)
    assert html is not None
    return html.striptags()


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("cost_usd", 1234.5, "$1,234.50"),
        ("savings_usd", -2, "-$2.00"),
        ("response_cache_savings_usd_estimate", 0.0042, "$0.0042"),
        ("cost_usd", 0.0, "$0.00"),
        ("cost_usd", None, "–"),
        ("input_tokens", 1234567, "1,234,567"),
        ("tokens_used", 1234, "1,234"),
        ("context_tokens_per_call", 12345, "12,345"),
        ("unpriced_calls", 0, "0"),
        ("calls", None, "–"),
        ("model", None, "–"),
        ("share", 0.256, "26 %"),
        ("cache_share", None, "–"),
        *((name, None, "–") for name in ("saturation", "times", "reads_per_write", "conflicts", "dropped", "last_at")),
        *((name, None, "–") for name in ("input_usd_per_million", "context_used_pct", "seconds", "day", "is_current")),
        ("input_usd_per_million", 0.3125, "$0.3125"),
        ("saturation", 0.034, "3.4 %"),
        ("counted", 1, "yes"),
        ("seconds", 0.123456, "0.123"),
        ("occurred_ns", 1786548465558000000, "1786548465558000000"),
        ("session_id", 12345, "12345"),
        ("year", 2026, "2026"),
        ("last_at", "2026-08-12T15:27:45.558Z", "2026-08-12 17:27:45 CEST"),
        ("occurred_at", "2026-01-12T15:27:45.558Z", "2026-01-12 16:27:45 CET"),
        ("occurred_at", "yesterday", "yesterday"),
        ("cost_usd", "much", "much"),
    ],
)
def test_a_cell_is_read_as_its_columns_name_says(column: str, value: object, text: str) -> None:
    assert shown(column, value) == text


def test_a_cell_of_dollars_names_the_exact_amount_and_one_of_time_the_utc() -> None:
    assert 'title="$0.123456789"' in str(render("cost_usd", 0.123456789, BERLIN, 300))
    when = str(render("last_at", "2026-08-12T15:27:45.558Z", BERLIN, 300))
    assert 'title="2026-08-12T15:27:45.558Z, Europe/Berlin"' in when


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), 9e300, -(2**63), 2**63 - 1])
@pytest.mark.parametrize("column", ["cost_usd", "share", "calls", "x"])
def test_any_number_can_be_shown(column: str, value: float) -> None:
    assert shown(column, value)


@pytest.mark.parametrize("column", ["model", "cost_usd", "share", "calls", "last_at"])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_text_and_no_link_in_every_column(column: str, text: str) -> None:
    html = str(render(column, text, BERLIN, 300))
    assert not re.search(r"[<>\"]", html)


def test_a_text_is_cut_where_it_is_too_long() -> None:
    assert shown("model", "w" * 500) == "w" * 300 + "…"


def test_what_has_no_form_of_ours_is_left_to_datasette() -> None:
    assert [render("model", each, BERLIN, 300) for each in ("", b"x", {"value": 1, "label": "a"})] == [None] * 3


def test_tables_questions_and_own_sql_show_the_same_cells(week: Path) -> None:
    sql = "select 1234.5 as cost_usd, '2026-08-12T15:27:45Z' as last_at, null as total_tokens"
    (own, costs) = get(week, f"/ccostdb?{urlencode({'sql': sql})}", "/ccostdb/source_costs")
    assert own.status_code == costs.status_code == 200
    assert ">$1,234.50</span>" in own.text
    assert ">2026-08-12 17:27:45 CEST</time>" in own.text
    assert '<span class="ccostdb-number" title="unknown">–</span>' in own.text
    assert re.search(r">\$[\d,.]+</span>", costs.text)


def test_hostile_names_are_text_on_the_pages_of_tables(week: Path) -> None:
    for page in get(
        week, "/ccostdb/calls?_size=300", "/ccostdb/call?_size=300", "/ccostdb/project_costs", "/ccostdb/project"
    ):
        assert page.status_code == 200
        assert "<script>window.hacked" not in page.text
        assert "<img src=x" not in page.text
        assert 'href="http://example.invalid' not in page.text

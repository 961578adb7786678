"""What a table shows where the terminal is narrow, cannot show every letter, or is not there."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment, on_terminal, run
from rich.cells import cell_len
from rich.console import Console

from ccostdb.cli.streams import wrapped
from ccostdb.cli.tables import draw
from ccostdb.reports import Table

SAVINGS = Table(
    (
        *("month", "source", "counted", "model", "cache_read_tokens", "cache_write_tokens"),
        *("prompt_cache_savings_usd", "response_cache_hits", "response_cache_savings_usd_estimate"),
    ),
    [
        ("2026-10", "claude-code", 1, "claude-sonnet-4-5-20250929", 6_190_129, 634_156, 1234.56, 0, 0.0),
        ("2026-11", "cco", 0, "claude-haiku-4-5-20251001", None, None, None, 25, 0.54),
    ],
    keys=4,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(table: Table, columns: int) -> str:
    out = io.StringIO()
    draw(table, Console(file=out, width=columns, highlight=False, markup=False, emoji=False))
    return out.getvalue()


@pytest.mark.parametrize("columns", [40, 80, 100])
def test_the_savings_are_shown_on_the_narrowest_terminal(columns: int) -> None:
    text = drawn(SAVINGS, columns)
    assert "1,234.56" in text
    assert "claude-" in text
    assert max(map(len, text.splitlines())) <= columns


def test_at_80_columns_only_what_matters_less_than_the_savings_gives_way() -> None:
    text = drawn(SAVINGS, 80)
    assert "0.54" in text
    assert "claude-sonnet-4-5" in text
    assert "No room for: cache read, cache write, response cache hits." in text


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_a_row_that_is_in_no_total_says_so_and_measures_give_way_to_that(columns: int) -> None:
    (row,) = [line for line in drawn(SAVINGS, columns).splitlines() if line.startswith("2026-11")]
    assert row.split()[:3] == ["2026-11", "cco", "no"]


def test_where_there_is_no_room_for_that_the_total_names_what_it_leaves_out() -> None:
    assert "The total leaves out 1 row of cco, not counted." in " ".join(drawn(SAVINGS, 40).split())


def test_where_all_rows_are_counted_the_model_is_worth_more_than_their_source() -> None:
    text = drawn(Table(SAVINGS.columns, [(*row[:2], 1, *row[3:]) for row in SAVINGS.rows], keys=4), 80)
    assert "0.54" in text
    assert "claude-sonnet-4-5-20250929" in text
    assert "No room for: source, counted, cache write, response cache hits." in text


def test_sessions_keep_their_cost_and_calls_at_40_columns() -> None:
    names = ("session_id", "project", "started_at", "calls", "total_tokens", "cost_usd")
    row = ("9a9a80fd-ea7b-4bf5-9eb5-61a421636369", "/home/ada/shop-mobile", "2026-11-01T01:38:34.998Z", 17, 999, 12.34)
    text = drawn(Table(names, [row], keys=2), 40)
    assert "12.34" in text
    assert " 17 " in text
    assert "…mobile" in text.replace("shop-", "")


def test_every_rate_of_a_model_has_room_at_80_columns() -> None:
    kinds = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
    names = ("provider", "model", *(f"{kind}_usd_per_million" for kind in kinds), "origin")
    rows = [("anthropic", "claude-3-7-sonnet-latest", 3.0, 15.0, 3.75, 6.0, 0.31, "genai-prices")]
    rows += [("github-copilot", "claude-sonnet-4.6", 3.0, 15.0, 3.75, 6.02, None, "genai-prices")]
    text = drawn(Table(names, rows, keys=2, is_summed=False), 80)
    assert "0.31" in text
    assert "6.02" in text
    assert "No room for: origin." in text


def test_an_hour_is_never_cut_and_shows_its_offset_only_where_they_differ() -> None:
    hours = ["2026-10-25T02:00+02:00", "2026-10-25T03:00+02:00", "2026-10-25T02:00+01:00"]
    same = drawn(Table(("hour", "cost_usd"), [(hour, 1.0) for hour in hours[:2]]), 24)
    assert "2026-10-25 02:00 " in same
    differing = drawn(Table(("hour", "cost_usd"), [(hour, 1.0) for hour in hours]), 30)
    assert all(hour in differing for hour in hours)


def test_a_long_detail_takes_more_lines_and_loses_nothing() -> None:
    detail = "the command of work failed: exit status 3 " + "no route to 世界 " * 9 + "x" * 120
    table = Table(("job", "started_at", "detail"), [("budgets", "2026-11-01T01:38:34.998Z", detail)], keys=2)
    text = drawn(table, 80)
    lines = text.splitlines()
    begins = lines[0].index("Detail")
    assert "".join("".join(line[begins:] for line in lines[2:]).split()) == "".join(detail.split())
    assert max(map(cell_len, lines)) <= 80


def test_a_table_without_rows_is_not_drawn() -> None:
    assert drawn(Table(("day", "cost_usd"), []), 80) == ""


def test_what_is_not_counted_is_not_said_to_lack_kinds() -> None:
    kinds = [f"{kind}_tokens" for kind in ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")]
    names = ("source", "counted", "unsplit_calls", *kinds, "total_tokens")
    rows = [("a", 1, 1, 5, 5, None, None, None, 1010), ("b", 0, 3, None, None, None, None, None, 7)]
    assert "1,000 tokens of 1 call came without kinds." in drawn(Table(names, rows, keys=2), 100)
    assert "without kinds" not in drawn(Table(names, rows[1:], keys=2), 100)


def test_a_long_message_is_wrapped_at_words_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert wrapped("a message of several words", Terminal()) == "a message of several\nwords"
    assert wrapped("a message of several words", io.StringIO()) == "a message of several words"


@pytest.mark.parametrize("words", [("report",), ("export", "calls"), ("doctor",), ("prices", "list")])
def test_a_stdout_that_is_closed_ends_quietly(ledger: Path, words: tuple[str, ...]) -> None:
    command = ["bash", "-c", '"$@" >&-', "bash", sys.executable, "-W", "error", "-m", "ccostdb", *words]
    done = subprocess.run(command, env=environment(), stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert (done.returncode, "Error" in done.stderr) == (run(*words).returncode, False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_table_is_drawn_where_the_terminal_cannot_encode_its_lines(
    ledger: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    text = on_terminal("report")
    assert "Total" in text
    assert text.isascii()


def test_a_sign_that_cannot_be_encoded_is_written_plainly(ledger: Path) -> None:
    command = [sys.executable, "-m", "ccostdb", "doctor"]
    done = subprocess.run(command, env=environment(PYTHONIOENCODING="latin-1"), capture_output=True, check=False)
    assert done.stderr == b""
    assert b"  + db " in done.stdout

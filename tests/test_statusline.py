"""The status line: right where the ledger is, useful where it is not, and never an error."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from commands import ccostdb, environment, on_terminal, opened
from hypothesis import given
from hypothesis import strategies as st
from ledger_rows import add_calls, add_name, add_source

from ccostdb.statusline import Recorded, Told, parse_told, read_recorded, render_line

HOUR_NS = 3600 * 10**9
NOON = 20_650 * 86_400 * 10**9 + 12 * HOUR_NS  # 2026-07-16
TOLD = {
    "session_id": "session-1",
    "model": {"id": "claude-sonnet-4-5", "display_name": "Sonnet 4.5"},
    "cost": {"total_cost_usd": 0.0312, "total_duration_ms": 4000},
    "context_window": {
        "current_usage": {"input_tokens": 10, "cache_creation_input_tokens": 90, "cache_read_input_tokens": 300}
    },
}


def line(stdin: str | None, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "ccostdb", "statusline", *words],
        env=environment(**variables),
        **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def spend(path: Path, now_ns: int = NOON) -> None:
    """One session yesterday and today, another today, and one whose source does not count."""
    with opened(path) as con:
        con.execute("update ledger set home_tz = 'UTC'")
        con.execute("delete from call")
        counted, other = add_source(con, "claude-code", "cc2"), add_source(con, "cco", counted=False)
        one, two = add_name(con, "session", "s1"), add_name(con, "session", "s2")
        tokens = {"input_tokens": 10, "cache_write_5m_tokens": 20, "cache_write_1h_tokens": 20, "cache_read_tokens": 50}
        call = {"source_id": counted, "session_id": one, **tokens}
        add_calls(con, [
            {**call, "call_id": "a", "occurred_ns": now_ns - 24 * HOUR_NS, "computed_nusd": 1_000_000_000},
            {**call, "call_id": "b", "occurred_ns": now_ns - 2 * HOUR_NS, "computed_nusd": 2_000_000_000},
            {**call, "call_id": "c", "occurred_ns": now_ns - HOUR_NS // 2, "reported_nusd": 250_000_000},
            {**call, "call_id": "d", "occurred_ns": now_ns - HOUR_NS // 2, "session_id": two, "computed_nusd": 10**10},
            {**call, "call_id": "e", "occurred_ns": now_ns, "source_id": other, "computed_nusd": 10**12},
        ])  # fmt: skip
    assert ccostdb("rollup", "--db", str(path)).exit_code == 0


def test_it_says_session_today_hour_and_cache(empty: Path) -> None:
    spend(empty)
    found = read_recorded(empty, "s1", NOON)
    assert found == Recorded(3_250_000_000, 12_250_000_000, 10_250_000_000, cache_share=0.5)
    assert render_line(Told("s1"), found) == "$3.25 session · $12.25 today · $10.25/h · cache 50 %"


def test_calls_that_no_rollup_has_yet_are_in_it(empty: Path) -> None:
    spend(empty)
    clean = read_recorded(empty, "s1", NOON)
    with opened(empty) as con:
        con.execute("insert or ignore into dirty_bucket select bucket_s from calendar where day = '2026-07-16'")
    assert read_recorded(empty, "s1", NOON) == clean


def test_a_session_that_the_ledger_does_not_know_has_claude_codes_own_numbers(empty: Path) -> None:
    spend(empty)
    told = parse_told(json.dumps(TOLD).encode())
    assert told == Told("session-1", 31_200_000, 300, 400)
    text = render_line(told, read_recorded(empty, told.session_id, NOON))
    assert text == "$0.0312 session · $12.25 today · $10.25/h · cache 50 %"
    assert render_line(told, None, "no ledger yet") == "$0.0312 session · cache 75 % · no ledger yet"


def test_a_session_that_read_nothing_from_the_cache_does_not_show_what_today_did(empty: Path) -> None:
    spend(empty)
    with opened(empty) as con:
        con.execute("update call set cache_read_tokens = 0 where session_id = (select min(session_id) from session)")
        con.execute("insert or ignore into dirty_bucket select bucket_s from calendar")
    assert ccostdb("rollup", "--db", str(empty)).exit_code == 0
    found = read_recorded(empty, "s1", NOON)
    assert found is not None
    assert found.cache_share == 0


def test_the_session_is_the_larger_of_both_numbers() -> None:
    recorded = Recorded(2_000_000_000, 0, 0)
    assert render_line(Told(cost_nusd=1_000_000_000), recorded).startswith("$2.00 session")
    assert render_line(Told(cost_nusd=3_000_000_000), recorded).startswith("$3.00 session")


def test_unknown_is_no_zero(empty: Path) -> None:
    assert render_line(Told(), read_recorded(empty, None, NOON)) == "$0.00 today · $0.00/h"
    with opened(empty) as con:
        add_calls(con, [{"call_id": "x", "source_id": add_source(con, "claude-code"), "occurred_ns": NOON - 1}])
    assert render_line(Told(), read_recorded(empty, None, NOON)) == "–+ today · –/h"


def test_a_ledger_that_nobody_writes_says_since_when(empty: Path) -> None:
    with opened(empty) as con:
        source = add_source(con, "claude-code")
        con.execute("insert into run (source_id, started_ns, updated_ns) values (?1, ?2, ?2)", (source, NOON))
    for later_ns, said in ((60, None), (3600, "12:00"), (86_400, "2026-07-16")):
        found = read_recorded(empty, None, NOON + later_ns * 10**9)
        assert found is not None
        assert found.as_of == said


@pytest.mark.parametrize("is_added_up", [True, False])
def test_every_limit_of_which_four_fifths_are_spent_now_is_named(empty: Path, is_added_up: bool) -> None:
    spend(empty)
    limits = [
        ("work", "day", 15_000_000_000, None, None),
        ("low", "day", 16_000_000_000, None, None),
        ("work", "week", 13_000_000_000, '["opus*"]', '["claude-*"]'),
        ("all", "month", 13_250_000_000, None, '["cc2"]'),
        ("other", "month", 1, '["opus"]', None),
        ("dead", "month", 1, None, '["cco"]'),
    ]
    with opened(empty) as con:
        con.execute("update call set model_id = ?", (add_name(con, "model", "opus-5"),))
        con.executemany("insert into budget (name, period, limit_nusd, models, sources) values (?, ?, ?, ?, ?)", limits)
        con.execute("insert or ignore into dirty_bucket select bucket_s from calendar")
    if is_added_up:
        assert ccostdb("rollup", "--db", str(empty)).exit_code == 0
    found = read_recorded(empty, None, NOON)
    assert found is not None
    assert [(name, period, round(used, 3)) for name, period, used in found.near] == [
        ("work", "week", 1.019),
        ("all", "month", 1.0),
        ("work", "day", 0.817),
    ]
    text = render_line(Told(), found, is_coloured=True)
    assert "\033[31mall 100 % of the month\033[0m" in text
    assert "\033[33mwork 82 % of the day\033[0m" in text


def test_a_budget_says_what_the_view_says(empty: Path) -> None:
    spend(empty)
    with opened(empty) as con:
        con.execute(
            "update call set project_id = ?, agent_id = ? where call_id < 'd'",
            (add_name(con, "project", "/a*"), add_name(con, "agent", "Explore")),
        )
        con.execute("insert or ignore into dirty_bucket select bucket_s from calendar")
        for number, filters in enumerate(
            (
                *((None, None), ('["/a*"]', None), ('["/a**"]', None), ('["/a"]', None), ('["*"]', '["Exp*", "x"]')),
                *((None, '["explore"]'), ('["/b", "/a*"]', '["Explore"]')),
            )
        ):
            for period in ("day", "week", "month"):
                con.execute(
                    "insert into budget (name, period, limit_nusd, projects, agents) values (?, ?, 1, ?, ?)",
                    (str(number), period, *filters),
                )  # fmt: skip
        said = (
            "select budget, period, used_share from budgets where period_label in ('2026-07-16', '2026-W29', '2026-07')"
        )
        shown = sorted(con.execute(said).fetchall())
    found = read_recorded(empty, None, NOON)
    assert found is not None
    assert sorted(found.near) == shown
    assert len(shown) == 15


def test_the_command_prints_one_line_about_now(empty: Path) -> None:
    spend(empty, time.time_ns())
    done = line(json.dumps({**TOLD, "session_id": "s1"}))
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\$3\.25 session · \$[\d.]+ today · \$10\.25/h · cache 50 %\n", done.stdout)


@pytest.mark.parametrize(
    "stdin",
    [None, "", "{", "[]", "null", '"x"', "[" * 100_000, '{"cost": 3}', '{"cost": {"total_cost_usd": NaN}}', "\ud800"],
)
def test_whatever_stdin_holds_it_says_what_it_knows(empty: Path, stdin: str | None) -> None:
    done = line(None if stdin is None else stdin.encode("utf-8", "surrogatepass").decode("latin-1"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "$0.00 today · $0.00/h\n", "")


def test_an_end_that_never_comes_is_not_waited_for(empty: Path) -> None:
    here, there = os.pipe()
    words = [sys.executable, "-m", "ccostdb", "statusline"]
    with os.fdopen(there, "wb") as held, os.fdopen(here) as stdin:
        held.write(b'{"cost": {"total_cost_usd": 7}}')
        held.flush()
        done = subprocess.run(words, stdin=stdin, env=environment(), capture_output=True, timeout=60, check=False)
    assert done.stdout.decode() == "$7.00 session · $0.00 today · $0.00/h\n"


def test_where_there_is_no_ledger_it_says_how_to_make_one(home: Path) -> None:
    done = line(json.dumps(TOLD))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "$0.0312 session · cache 75 % · no ledger yet: ccostdb ingest\n"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("what", ["folder", "pipe", "text", "other", "locked"])
def test_a_ledger_that_cannot_be_read_is_no_error(home: Path, what: str) -> None:
    path = home / "odd?#%.db"
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "text":
        path.write_text("no SQLite")
    con = sqlite3.connect(path, isolation_level=None) if what in ("other", "locked") else None
    if con:
        con.execute("create table t (x)")
        con.execute("begin exclusive" if what == "locked" else "select 1")
    done = line(json.dumps(TOLD), CCOSTDB_DB=str(path))
    if con:
        con.close()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "$0.0312 session · cache 75 %\n"
    assert line(None, CCOSTDB_DB=str(path)).stdout == "ccostdb: the ledger cannot be read now\n"


def test_settings_that_are_wrong_are_no_error(home: Path) -> None:
    Path("ccostdb.toml").write_text("db = [")
    assert line(None).stdout == "ccostdb: see ccostdb doctor\n"
    assert line(None, CCOSTDB_DB="~nobody-of-that-name/x").stdout in (
        "ccostdb: see ccostdb doctor\n",
        "no ledger yet: ccostdb ingest\n",
    )


def test_settings_that_are_a_pipe_are_not_waited_for(home: Path) -> None:
    os.mkfifo("ccostdb.toml")
    assert line(None).stdout == "ccostdb: see ccostdb doctor\n"


def test_words_that_nobody_knows_are_passed_over(empty: Path) -> None:
    for before in ([], ["--db", str(empty)], ["--db=x", f"--db={empty}"]):
        for after in (["--bogus"], ["word", "--color=never"], ["--db"]):
            done = subprocess.run(
                [sys.executable, "-m", "ccostdb", *before, "statusline", *after],
                stdin=subprocess.DEVNULL, env=environment(), capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, "")
            assert "today" in done.stdout
    assert "settings.json" in line(None, "--bogus", "--help").stdout


def test_the_name_of_a_budget_cannot_move_the_cursor_or_turn_the_text(empty: Path) -> None:
    text = render_line(Told(), Recorded(near=(("a\x1b[2Jb\nc\u202ed" + "x" * 99, "day", 1.0),)))
    assert text.endswith(f"a�[2Jb c�d{'x' * 30} 100 % of the day")


def test_colours_are_for_those_who_ask(empty: Path) -> None:
    assert "\033" not in line(None).stdout
    assert "\033[2m" in line(None, "--color").stdout
    assert "\033" not in line(None, "--color", NO_COLOR="1").stdout
    assert on_terminal("statusline") == "$0.00 today · $0.00/h\n"


def test_the_ledger_may_be_named_before_or_after_the_command(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CCOSTDB_DB")
    for words in (["--db", str(empty)], [f"--db={empty}"], ["--db=x", f"--db={empty}", "--color"]):
        assert "$0.00 today" in line(None, *words, NO_COLOR="1").stdout
    done = subprocess.run(
        [sys.executable, "-m", "ccostdb", "--db", str(empty), "statusline"],
        stdin=subprocess.DEVNULL, env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == "$0.00 today · $0.00/h\n"
    assert "settings.json" in line(None, "--help").stdout


def test_it_imports_little(empty: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ccostdb", "statusline"],
        stdin=subprocess.DEVNULL, env=environment(), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    loaded = {row.rpartition("|")[2].strip() for row in done.stderr.splitlines()}
    assert {"sqlite3", "ccostdb.statusline"} <= loaded
    assert not loaded & {"click", "asyncio", "inspect", "platformdirs", "msgspec", "ccostdb.schema", "subprocess"}


def test_the_ledger_is_only_read(empty: Path) -> None:
    before = empty.read_bytes()
    line(json.dumps(TOLD))
    assert empty.read_bytes() == before


@given(st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["session_id", "cost", "total_cost_usd", "context_window", "current_usage"]), inner
    ),
))  # fmt: skip
def test_any_json_is_understood_as_far_as_it_goes(said: Any) -> None:
    told = parse_told(json.dumps(said).encode())
    assert "\n" not in render_line(told, None)

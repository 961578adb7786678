"""`ccostdb budget`, and the command of the user's that a budget runs: a real one, with all that it is told."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path

import pytest
from commands import ccostdb, objects, on_terminal, run
from spending import NOW, checked, make_budget_ledger, settings_with, spend
from transcripts import line, write

from ccostdb import budgets
from ccostdb.store import open_store

SCRIPT = """
import json, os, pathlib, sys
told = {name: text for name, text in os.environ.items() if name.startswith("CCOSTDB_BUDGET_")}
pathlib.Path(sys.argv[1]).write_text(json.dumps({"env": told, "stdin": json.load(sys.stdin), "words": sys.argv[2:]}))
"""


@pytest.fixture
def path(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger with one counted source, which commands find."""
    path = home / "ledger.db"
    make_budget_ledger(path)
    monkeypatch.setenv("CCOSTDB_DB", str(path))
    return path


def with_command(path: Path, *words: str, name: str = "a") -> str | None:
    """What the job says when a limit of a dollar is reached, and a command is run."""
    spend(path, 1.5)
    return checked(settings_with(path, {"name": name, "daily": 1, "command": list(words)}))


def test_a_command_is_told_what_was_reached_and_no_shell_reads_its_words(path: Path, home: Path) -> None:
    (home / "script.py").write_text(SCRIPT)
    hostile = "$(touch owned) \" ' ; \n\x1b[31m ☃"
    said = with_command(path, sys.executable, str(home / "script.py"), str(home / "told"), "$HOME; *", "", name=hostile)
    told = json.loads((home / "told").read_text())
    assert told["words"] == ["$HOME; *", ""]
    assert told["env"] == {
        "CCOSTDB_BUDGET_NAME": hostile,
        "CCOSTDB_BUDGET_PERIOD": "day",
        "CCOSTDB_BUDGET_PERIOD_LABEL": "2026-11-18",
        "CCOSTDB_BUDGET_SPENT_USD": "1.50",
        "CCOSTDB_BUDGET_LIMIT_USD": "1.00",
        "CCOSTDB_BUDGET_THRESHOLD": "1.0",
        "CCOSTDB_BUDGET_UNPRICED_CALLS": "0",
    }
    assert told["stdin"] == {
        "name": hostile,
        "period": "day",
        "period_label": "2026-11-18",
        "spent_usd": 1.5,
        "limit_usd": 1.0,
        "threshold": 1.0,
        "unpriced_calls": 0,
    }
    assert not (home / "owned").exists()
    assert said == "$(touch owned) \" ' ;  �[31m ☃: $1.50 spent in 2026-11-18, 100 % of $1.00 reached"


def test_a_command_is_told_no_key(path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CCA_API_KEY", "CCD_HEADERS", "CCD_URL", "CCA_URL"):
        monkeypatch.setenv(f"CCOSTDB_{name}", "http://x")
    with_command(path, "sh", "-c", f"env > '{home / 'told'}'")
    names = {each.partition("=")[0] for each in (home / "told").read_text().splitlines()}
    assert "CCOSTDB_CCA_URL" in names
    assert not names & {"CCOSTDB_CCA_API_KEY", "CCOSTDB_CCD_HEADERS", "CCOSTDB_CCD_URL"}


def test_a_command_may_ask_ccostdb_itself(path: Path, home: Path) -> None:
    words = f"'{sys.executable}' -m ccostdb report --json > '{home / 'report'}'"
    assert "failed" not in (with_command(path, "sh", "-c", words) or "")
    assert json.loads((home / "report").read_text())[0]["cost_usd"] == 1.5


def test_a_command_that_fails_is_told_of_first_and_is_not_run_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "ccostdb"):
        said = with_command(path, "sh", "-c", "printf 'no\\033[2J way' >&2; exit 3")
    reached = "a: $1.50 spent in 2026-11-18, 100 % of $1.00 reached"
    assert said == f"the command of a failed: exit status 3 no�[2J way; {reached}"
    assert caplog.messages == [f"budget {reached}"]  # the schedule logs what fails
    assert with_command(path, "sh", "-c", "exit 3") is None


@pytest.mark.parametrize("word", ["no-such-program-here", "./ledger.db", "x" * 300_000])
def test_a_command_that_cannot_be_started_is_a_failure_like_any_other(path: Path, word: str) -> None:
    assert "the command of a failed: [Errno" in (with_command(path, word) or "")


def test_a_command_that_takes_too_long_is_ended_with_what_it_started(
    path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "COMMAND_S", 0.5)
    said = with_command(path, "sh", "-c", f"sleep 600 & echo $! > '{home / 'pid'}'; wait")
    assert said is not None
    assert said.startswith("the command of a failed: it took longer than 0.5 s; ")
    pid = int((home / "pid").read_text())
    for _ in range(200):  # until whoever inherits the process has taken notice of its end
        if is_gone(pid):
            return
        time.sleep(0.05)
    pytest.fail("what the command started still runs")


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_command_that_leaves_something_running_is_not_waited_for(path: Path) -> None:
    began = time.monotonic()
    said = with_command(path, "sh", "-c", "sleep 20 & exit 0")
    assert "failed" not in (said or "failed")
    assert time.monotonic() - began < 15


def test_the_ledger_can_be_written_while_a_command_runs_and_a_stop_ends_the_command(path: Path, home: Path) -> None:
    spend(path, 1)
    words = ["sh", "-c", f"touch '{home / 'runs'}'; sleep 600"]
    settings = settings_with(path, {"name": "a", "daily": 1, "command": words})

    async def body() -> None:
        async with open_store(settings) as store:
            job = asyncio.create_task(budgets.check(store, settings, NOW))
            while not (home / "runs").exists():
                await asyncio.sleep(0.02)
            await asyncio.wait_for(store.source_id("cco", "http://x"), 20)
            job.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(job, 20)

    asyncio.run(body())


def configure(home: Path, text: str) -> None:
    (home / "ccostdb.toml").write_text(text)


def test_budgets_are_shown_with_what_is_spent_and_left(path: Path, home: Path) -> None:
    configure(home, '[[budget]]\nname = "work"\nmonthly = 10\ndaily = 2.5\n')
    spend(path, 1, time.time_ns())
    day, month = objects(ccostdb("budget", "--json"))
    assert (day["budget"], day["limit_usd"], month["limit_usd"]) == ("work", 2.5, 10.0)
    assert (month["spent_usd"], month["left_usd"], month["used_share"], month["calls"]) == (1.0, 9.0, 0.1, 1)
    header = ccostdb("budget", "--csv").stdout.splitlines()[0]
    assert header.split(",") == list(day)
    shown = on_terminal("budget", columns=120)
    assert "10 %" in shown
    assert "work" in shown


def test_check_exits_with_1_where_a_limit_or_the_share_of_one_is_reached(path: Path, home: Path) -> None:
    configure(home, '[[budget]]\nname = "work"\nmonthly = 10\n')
    assert ccostdb("budget", "--check").exit_code == 0
    spend(path, 8, time.time_ns())
    assert ccostdb("budget", "--check").exit_code == 0
    assert ccostdb("budget", "--check", "--at", "0.81").exit_code == 0
    reached = run("budget", "--check", "--at", "0.8")
    assert (reached.returncode, "Reached 80 %: work (20" in reached.stderr) == (1, True)
    spend(path, 2, time.time_ns())
    assert ccostdb("budget", "--check", "--json").exit_code == 1
    assert ccostdb("budget").exit_code == 0


@pytest.mark.parametrize("words", [("--at", "0.5"), ("--check", "--at", "0"), ("--check", "--at", "x")])
def test_a_share_that_means_nothing_is_wrong_usage(path: Path, words: tuple[str, ...]) -> None:
    assert ccostdb("budget", *words).exit_code == 2


@pytest.mark.parametrize("words", [(), ("--check",)])
def test_without_a_budget_there_is_a_sentence_on_how_to_write_one(path: Path, words: tuple[str, ...]) -> None:
    result = run("budget", *words, "--json")
    assert (result.returncode, json.loads(result.stdout)) == (0, [])
    assert "[[budget]]" in result.stderr


def test_a_budget_that_cannot_be_used_is_named_in_one_line_with_a_hint(path: Path, home: Path) -> None:
    configure(home, '[[budget]]\nname = "a\\u001b[31m"\nmonthly = 0\n')
    result = run("budget")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "Error: [[budget]] 1 (a�[31m): monthly should be US dollars above 0, and at most 1,000,000,000, not 0.",
        'A budget is such as: name = "work", daily = 10, monthly = 150 (USD).',
    ]


def test_a_name_cannot_move_the_cursor(path: Path, home: Path) -> None:
    configure(home, '[[budget]]\nname = "a\\u001b[2J"\nmonthly = 1\nmodel = "b\\u001b[2J"\n')
    assert "\x1b[2J" not in on_terminal("budget", "--check")


def test_ingest_puts_the_budgets_into_the_ledger_and_refuses_bad_ones_before_it_records(
    ledger: Path, home: Path
) -> None:
    configure(home, '[[budget]]\nname = "work"\nmonthly = 10\nmodel = "claude-*"\n')
    projects = home / "projects"
    projects.mkdir()
    write(projects / "p" / "s.jsonl", line("msg_01EEEEEEEEEEEEEEEEEEEEEEEE", 100, at="2026-07-03T23:30:00.000Z"))
    assert run("ingest", "claude-code", str(projects), "--once").returncode == 0
    (row,) = objects(ccostdb("export", "budgets", "--format", "json"))
    assert (row["budget"], row["period_label"], row["limit_usd"], row["calls"]) == ("work", "2026-07", 10.0, 4)
    configure(home, '[[budget]]\nname = "work"\nmonthly = "10"\n')
    write(projects / "p" / "t.jsonl", line("msg_01FFFFFFFFFFFFFFFFFFFFFFFF", 100, at="2026-07-03T23:30:00.000Z"))
    refused = run("ingest", "claude-code", str(projects), "--once")
    assert (refused.returncode, "monthly should be a number, not '10'" in refused.stderr) == (1, True)
    (row,) = objects(ccostdb("export", "budgets", "--format", "json"))
    assert row["calls"] == 4

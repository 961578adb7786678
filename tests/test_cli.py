"""The commands as a person and a script meet them: what they print, where, and with which exit status."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
from cco_emulator import Emulator
from commands import JULY_1, ccostdb, environment, objects, opened, run, run_python, run_words
from ledger_rows import add_calls, add_source
from transcripts import line, write

from ccostdb import __version__
from ccostdb.cli import COMMANDS, main
from ccostdb.cli.failure import Failure, guarded
from ccostdb.cli.report import KINDS as OFFERED
from ccostdb.lock import writing_lock
from ccostdb.reports import KINDS
from ccostdb.settings import COSTS
from ccostdb.words import printable

pytestmark = pytest.mark.usefixtures("home")
SLOW_TO_IMPORT = {
    *("pandas", "datasette", "sqlite_utils", "httpx", "asyncio", "genai_prices", "rich", "sqlite3"),
    *("aiosqlite", "msgspec", "tomllib", "platformdirs", "filelock", "logging", "subprocess"),
}


# --- the group ---


def test_help_names_every_command_and_imports_none_of_the_slow_packages() -> None:
    done = run_python("-X", "importtime", "-m", "ccostdb", "--help")
    imported = {entry.rsplit("|", 1)[1].strip().partition(".")[0] for entry in done.stderr.splitlines() if "|" in entry}
    assert "click" in imported
    assert not imported & SLOW_TO_IMPORT
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_says_the_line_that_the_group_shows(name: str) -> None:
    command = main.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert (command.help or "").partition("\n\n")[0].replace("\n", " ") == COMMANDS[name][1]


def _every_command() -> Iterator[tuple[str, ...]]:
    for name in COMMANDS:
        command = main.get_command(None, name)  # type: ignore[arg-type]
        yield (name,)
        for inner in getattr(command, "commands", ()):
            yield name, inner


@pytest.mark.parametrize("words", list(_every_command()), ids=" ".join)
def test_every_command_has_help_and_takes_db(words: tuple[str, ...]) -> None:
    result = ccostdb(*words, "--help")
    assert result.exit_code == 0
    assert "--db PATH" in result.stdout


def test_the_version_is_said() -> None:
    assert ccostdb("--version").stdout == f"ccostdb {__version__}\n"
    assert run("--version").stdout == f"ccostdb {__version__}\n"


def test_an_unknown_command_is_a_usage_error_with_the_nearest() -> None:
    result = ccostdb("reprot")
    assert result.exit_code == 2
    assert "There is no command 'reprot'. Did you mean report?" in result.stderr


def test_an_unknown_option_is_a_usage_error() -> None:
    assert ccostdb("report", "--dayly").exit_code == 2
    assert ccostdb("--nonsense").exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("report", "--json", "--csv"),
        ("jobs", "--csv", "--json"),
        ("rollup", "--verify", "--rebuild"),
        ("ingest", "ccd", "-", "--ccd-url", "http://x/y"),
        ("ingest", "--ccd-url", "http://x/y", "ccd", "FILE"),
    ],
)
def test_what_cannot_be_asked_for_at_once_is_a_usage_error(words: tuple[str, ...]) -> None:
    refused = ccostdb(*words)
    assert (refused.exit_code, "not both" in refused.stderr) == (2, True)


def test_the_offered_words_are_those_that_reports_and_settings_know() -> None:
    assert OFFERED == KINDS
    option = next(each for each in main.get_command(None, "report").params if each.name == "cost")  # type: ignore[arg-type, union-attr]
    assert tuple(option.type.choices) == COSTS  # type: ignore[attr-defined]


# --- errors of people ---


def test_a_wrong_setting_is_one_sentence_and_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCOSTDB_CCO_URI", "x")
    result = ccostdb("report")
    assert result.exit_code == 1
    assert (
        result.stderr == "Error: The environment variable CCOSTDB_CCO_URI is unknown.\nDid you mean CCOSTDB_CCO_URL?\n"
    )


def test_without_a_ledger_the_next_command_is_named(home: Path) -> None:
    result = ccostdb("report", "--db", "nowhere.db")
    assert result.exit_code == 1
    assert "nowhere.db" in result.stderr
    assert "ccostdb ingest" in result.stderr
    assert not (home / "nowhere.db").exists()


@pytest.mark.parametrize("words", [("report",), ("migrate",), ("ingest", "claude-code", "x.jsonl", "--once")])
def test_a_file_that_is_no_ledger_is_left_alone(home: Path, words: tuple[str, ...]) -> None:
    (home / "x.jsonl").write_text("")
    text = b"this is a letter to a friend, not a database\n" * 100
    (home / "letter.txt").write_bytes(text)
    result = ccostdb(*words, "--db", "letter.txt")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert (home / "letter.txt").read_bytes() == text


def test_another_writer_is_said_in_a_sentence(ledger: Path) -> None:
    with writing_lock(ledger):
        result = ccostdb("migrate")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Another ccostdb process writes ")


def test_a_damaged_ledger_is_said_in_a_sentence(ledger: Path) -> None:
    with opened(ledger) as con:
        con.execute("pragma wal_checkpoint(truncate)")
        page = con.execute("select rootpage from sqlite_schema where name = 'rollup_day'").fetchone()[0]
        size = con.execute("pragma page_size").fetchone()[0]
    with ledger.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    result = ccostdb("report")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The ledger is damaged (")
    assert str(ledger) in result.stderr


def test_on_a_full_disk_it_is_not_said_that_a_stream_lost_nothing() -> None:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    with pytest.raises(Failure) as caught, guarded(click.Context(main)):
        raise error
    assert caught.value.message == "The disk is full (database or disk is full)."
    assert "what a stream told since may be lost" in (caught.value.hint or "")


def test_an_error_cannot_write_control_characters() -> None:
    result = ccostdb("ingest", "\x1b]0;owned\x07")
    assert result.exit_code == 1
    assert "\x1b" not in result.stderr
    assert printable("a\x1b[2Jb\u202ec\td\x9b\ud800\u3000e") == "a�[2Jb�c d��\u3000e"


def test_a_closed_pipe_is_no_error(ledger: Path) -> None:
    with opened(ledger) as con:
        source = add_source(con, "ccd")
        calls = ({"call_id": f"x{n}", "source_id": source, "occurred_ns": JULY_1} for n in range(20_000))
        add_calls(con, calls)
    command = f"{sys.executable} -m ccostdb export calls | head -1; exit ${{PIPESTATUS[0]}}"
    done = run_words(["bash", "-c", command])
    assert done.stdout.startswith("call_id,occurred_at,source")
    assert (done.returncode, done.stderr) == (0, "")


def test_ctrl_c_ends_quietly_with_130(ledger: Path) -> None:
    code = "import signal\nfrom ccostdb import reports\nfrom ccostdb.cli import main\n"
    code += "reports.report = lambda *_: signal.raise_signal(signal.SIGINT)\nmain(['report'])"
    done = run_python("-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_working_folder_that_is_gone_is_said_in_a_sentence(home: Path) -> None:
    (home / "gone").mkdir()
    done = run_words(["bash", "-c", f"cd gone && rmdir ../gone && {sys.executable} -m ccostdb report"])
    assert done.returncode == 1
    assert done.stderr.endswith("Error: The working folder is no longer there.\nGo to another one, as with: cd ~\n")
    assert "Traceback" not in done.stderr


def test_a_reader_is_told_that_another_process_decides_whether_cco_counts(ledger: Path) -> None:
    with opened(ledger) as con:
        add_source(con, "cco", counted=False)
    environ = environment(CCOSTDB_CCO_COUNTED="true")
    with writing_lock(ledger):
        held = run("report", "sources", environ=environ)
    assert held.returncode == 0
    assert "Another ccostdb process writes: its settings say whether CCO counts, not yours." in held.stderr
    assert run("report", "sources", environ=environ).stderr == ""


def test_a_changed_price_is_listed_at_once(ledger: Path, home: Path) -> None:
    (home / "ccostdb.toml").write_text('[[price]]\nmodel = "my-model"\ninput = 1\n')
    assert "my-model" in ccostdb("prices", "list", "my-model", "--csv").stdout


# --- ingest ---


def test_a_bare_ingest_records_every_source_that_is_found(home: Path) -> None:
    write(home / ".claude" / "projects" / "p" / "s.jsonl", line())
    result = ccostdb("ingest", "--once", "--db", "new.db")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].startswith("claude-code: ok, 1 new call in 1 file, ")
    assert "cco: not found" in result.stdout
    assert len(objects(ccostdb("report", "--db", "new.db", "--json"))) == 1


def test_a_bare_ingest_that_finds_nothing_says_what_to_try() -> None:
    result = ccostdb("ingest", "--once", "--db", "new.db")
    assert result.exit_code == 0
    assert "ccostdb demo" in result.stderr


@pytest.mark.parametrize(
    "words", [("--once", "claude-code", "s.jsonl"), ("claude-code", "--once", "--foreground", "s.jsonl")]
)
def test_options_stand_before_or_after_the_source(home: Path, words: tuple[str, ...]) -> None:
    write(home / "s.jsonl", line())
    result = ccostdb("ingest", "--db", "new.db", *words)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("claude-code: ok, 1 new call in 1 file, ")


def test_an_unknown_source_is_one_sentence_with_the_nearest(home: Path) -> None:
    result = ccostdb("ingest", "claude-cod")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: There is no source 'claude-cod'.\nDid you mean claude-code?\n",
    )
    (home / "logs").mkdir()
    assert "ccostdb ingest claude-code logs" in ccostdb("ingest", "logs").stderr


def test_cco_is_recorded_from_the_address_that_is_given(home: Path) -> None:
    with Emulator() as emulator:
        emulator.call(cost=0.25)
        result = ccostdb("ingest", "cco", "--cco-url", emulator.url, "--once", "--db", "new.db")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("cco: ok, 1 new call in 1 new event, ")
    assert [row["cost_usd"] for row in objects(ccostdb("report", "--db", "new.db", "--json"))] == [0.25]


@pytest.mark.parametrize("words", [("claude-code", "gone"), ("cco",)])
def test_a_named_source_that_is_not_there_is_an_error(words: tuple[str, ...]) -> None:
    result = ccostdb("ingest", *words, "--once", "--db", "new.db")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")


def test_a_bad_address_is_refused_before_anything_is_made(home: Path) -> None:
    result = ccostdb("ingest", "cco", "--cco-url", "localhost:8080", "--db", "new.db")
    assert result.exit_code == 1
    assert "http://localhost:8080" in result.stderr
    assert not (home / "new.db").exists()


def test_following_ends_with_status_0_when_it_is_told_to_stop(home: Path) -> None:
    write(home / "s.jsonl", line())
    command = [sys.executable, "-m", "ccostdb", "ingest", "claude-code", "s.jsonl", "--db", "new.db"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), text=True, **pipes) as process:  # type: ignore[call-overload]
        query = "select count(*) from call"
        while _count(home / "new.db", query) == 0:
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        said, noted = process.communicate(timeout=30)
    assert process.returncode == 0
    assert said.startswith("claude-code: stopped, 1 new call in 1 file, ")
    assert noted.splitlines()[0] == f"Following claude-code at {home / 's.jsonl'}. Ctrl-C stops it."


def test_stdin_is_said_to_be_read_to_its_end(home: Path) -> None:
    read = run("ingest", "ccd", "-", "--db", str(home / "ledger.db"))
    assert (read.returncode, read.stderr.splitlines()[0]) == (0, "Reading ccd from stdin, to its end.")


def test_a_bare_ingest_says_what_it_follows_and_looks_for(home: Path) -> None:
    command = [sys.executable, "-m", "ccostdb", "ingest", "--db", "new.db"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert said == (
        f"Following what there is, and looking for the rest: claude-code at {home}/.claude/projects, "
        f"{home}/.config/claude/projects; cco at http://127.0.0.1:9; ccd at http://127.0.0.1:9; "
        "cca at http://127.0.0.1:9. Ctrl-C stops it.\n"
    )


@pytest.mark.parametrize("words", [("rollup",), ("rollup", "--rebuild"), ("prune",), ("reprice",), ("prices", "sync")])
def test_what_needs_a_ledger_makes_none_at_a_mistyped_path(home: Path, words: tuple[str, ...]) -> None:
    result = ccostdb(*words, "--db", "mistyped.db")
    assert result.exit_code == 1
    assert "There is no ledger at" in result.stderr
    assert not list(home.glob("mistyped*"))


def test_events_of_a_daemon_are_counted_as_events(home: Path) -> None:
    shutil.copy(Path(__file__).parent / "data" / "ccd" / "daemon-events.ndjson", home / "events")
    said = ccostdb("ingest", "ccd", "events", "--once", "--db", "new.db").stdout
    assert said.startswith("ccd: ok, 11 new events, ")


def test_a_call_that_was_recorded_before_is_not_new(home: Path) -> None:
    path = write(home / "s.jsonl", line())
    words = ("ingest", "claude-code", "s.jsonl", "--once", "--db", "new.db")
    assert "1 new call in 1 file" in ccostdb(*words).stdout
    assert "0 new calls in 1 file" in ccostdb(*words).stdout
    write(path, line(), line("msg_01" + "B" * 24))
    assert "1 new call in 1 file" in ccostdb(*words).stdout


def _count(path: Path, query: str) -> int:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as con:
            return int(con.execute(query).fetchone()[0])
    except sqlite3.OperationalError:
        return 0


# --- the other commands ---


def test_migrate_makes_an_empty_ledger_for_its_owner_only(home: Path) -> None:
    result = ccostdb("migrate", "--db", "deep/er/new.db")
    assert result.exit_code == 0
    assert (home / "deep" / "er" / "new.db").stat().st_mode & 0o777 == 0o600
    assert (home / "deep").stat().st_mode & 0o777 == 0o700


def test_rollups_are_verified_and_rebuilt(ledger: Path) -> None:
    assert ccostdb("rollup", "--verify").exit_code == 0
    with opened(ledger) as con:
        con.execute("update rollup_day set calls = calls + 1")
    result = ccostdb("rollup", "--verify")
    assert result.exit_code == 1
    assert "ccostdb rollup --rebuild" in result.stderr
    assert ccostdb("rollup", "--rebuild").exit_code == 0
    assert ccostdb("rollup", "--verify").exit_code == 0
    assert ccostdb("rollup").stdout == "The sums are up to date.\n"


def test_an_export_goes_to_stdout_or_to_a_file(ledger: Path, home: Path) -> None:
    as_csv = ccostdb("export", "calls").stdout
    assert ccostdb("export", "calls", "-o", "-").stdout == as_csv
    assert ccostdb("export", "calls", "-o", "calls.csv").stdout == ""
    assert (home / "calls.csv").read_text() == as_csv
    assert ccostdb("export", "calls", "-o", "calls.ndjson").exit_code == 0
    assert len([json.loads(text) for text in (home / "calls.ndjson").read_text().splitlines()]) == 3
    assert len(json.loads(ccostdb("export", "calls", "--format", "json").stdout)) == 3


def test_an_export_of_nothing_known_leaves_no_file(ledger: Path, home: Path) -> None:
    result = ccostdb("export", "cals", "-o", "x.csv")
    said = "Error: There is no view or question 'cals'.\nDid you mean calls?\n"
    assert (result.exit_code, result.stderr) == (1, said)
    assert not (home / "x.csv").exists()

"""What `ccostdb doctor` finds, what it says to do, and when it exits with 1."""

from __future__ import annotations

import json
import sqlite3
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from commands import DAY_NS, JULY_1, add_cco, ccostdb, on_terminal, opened, run_python
from ledger_rows import add_calls, add_name, add_source

from ccostdb.jobs.backup import back_up, backup_folder
from ccostdb.lock import writing_lock
from ccostdb.settings import Settings

pytestmark = pytest.mark.usefixtures("home")


def findings(*words: str) -> list[dict[str, Any]]:
    result = ccostdb("doctor", "--json", *words)
    assert result.exit_code in (0, 1)
    is_bad = result.exit_code == 1
    found: list[dict[str, Any]] = json.loads(result.stdout)
    assert any(each["state"] == "problem" for each in found) is is_bad
    return found


def named(found: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (each,) = (each for each in found if each["name"] == name)
    return each


def problems(found: list[dict[str, Any]]) -> list[str]:
    return [each["name"] for each in found if each["state"] == "problem"]


def test_a_sound_ledger_has_no_problem(ledger: Path) -> None:
    found = findings()
    assert problems(found) == []
    assert named(found, "integrity")["state"] == "ok"
    assert named(found, "schema")["value"] == "2 of 2"
    assert named(found, "home zone")["value"] == "UTC"
    assert str(ledger) in named(found, "file")["value"]


def test_each_setting_is_shown_with_its_origin(ledger: Path, home: Path) -> None:
    (home / "ccostdb.toml").write_text('cost = "computed"')
    found = findings()
    assert (named(found, "cost")["value"], named(found, "cost")["detail"]) == ("computed", "./ccostdb.toml")
    assert named(found, "db")["detail"] == "CCOSTDB_DB (environment)"
    assert named(found, "reconnect_max_s")["detail"] == "default"
    other = findings("--db", str(ledger))
    assert named(other, "db")["detail"] == "command line"


def test_without_a_ledger_it_says_how_to_make_one_and_makes_none(home: Path) -> None:
    found = findings("--db", "new.db")
    assert (named(found, "file")["state"], named(found, "file")["detail"]) == ("note", "Make one: ccostdb ingest")
    assert not (home / "new.db").exists()


def test_what_was_rejected_is_counted_with_its_reason(ledger: Path) -> None:
    rejected = [each for each in findings() if each["value"].startswith("rejected ")]
    assert [(each["name"], each["state"]) for each in rejected] == [("claude-code", "note")]
    assert rejected[0]["value"].startswith("rejected 1 ×: ")


def test_gaps_and_calls_without_a_price_are_named(ledger: Path) -> None:
    with opened(ledger) as con:
        add_cco(con)
        con.execute("update call set input_tokens = 1000 where call_id = 'cco:3'")
    found = findings()
    assert problems(found) == ["price book"]
    assert named(found, "price book")["value"] == "1 call of 1 model without a price: mystery-1"
    assert "gaps: 2, missing calls: 7, $1.25" in [each["value"] for each in found]


def test_calls_that_no_rate_can_price_are_a_note(ledger: Path) -> None:
    with opened(ledger) as con:
        source, model = add_source(con, "cco"), add_name(con, "model", "six-fields")
        call = {"source_id": source, "model_id": model, "total_tokens": 1000, "occurred_ns": JULY_1}
        add_calls(con, [{**call, "call_id": "cco:1"}, {**call, "call_id": "cco:2"}])
    found = findings()
    assert problems(found) == []
    note = named(found, "price book")
    assert (note["state"], note["value"]) == ("note", "2 calls of 1 model without a cost: six-fields")
    assert "neither cost nor kinds of tokens" in note["detail"]
    with opened(ledger) as con:
        add_calls(con, [{**call, "call_id": "cco:3", "input_tokens": 1000}])
    priced, unsplit = (each for each in findings() if each["name"] == "price book")
    assert (priced["state"], priced["value"]) == ("problem", "1 call of 1 model without a price: six-fields")
    assert unsplit == note


def test_changed_prices_are_noted_until_the_costs_are_computed_again(ledger: Path, home: Path) -> None:
    (home / "ccostdb.toml").write_text('[[price]]\nmodel = "my-model"\ninput = 1\n')
    for words in (("report",), ("doctor",)):
        ccostdb(*words)
        book = named(findings(), "price book")
        assert (book["state"], book["value"]) == ("note", "prices have changed since")
        assert "ccostdb reprice" in book["detail"]
    assert ccostdb("reprice").exit_code == 0
    assert "price book" not in [each["name"] for each in findings()]


def test_a_run_that_was_killed_is_not_shown_as_connected(ledger: Path) -> None:
    with opened(ledger) as con:
        run = "insert into run (source_id, started_ns, updated_ns, state) values (?, 1, 1, 'connected')"
        con.execute(run, (add_source(con, "cco"),))
    killed = named(findings(), "cco")
    assert killed["state"] == "note"
    assert killed["value"].startswith("cut off, ")
    with writing_lock(ledger):
        running = named(findings(), "cco")
    assert (running["state"], running["value"].partition(",")[0]) == ("ok", "following")


def test_a_setting_that_waits_for_another_process_is_noted(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(ledger) as con:
        add_source(con, "cco", counted=False)
    monkeypatch.setenv("CCOSTDB_CCO_COUNTED", "true")
    with writing_lock(ledger):
        assert "whether it counts is not yet as the settings say" in [each["value"] for each in findings()]
    assert "whether it counts is not yet as the settings say" not in [each["value"] for each in findings()]


def test_a_source_that_failed_is_a_problem_with_its_error(ledger: Path) -> None:
    with opened(ledger) as con:
        source = add_source(con, "cco")
        con.execute(
            "insert into run (source_id, started_ns, updated_ns, outcome, error) values (?, 1, 1, 'failed', 'gone')",
            (source,),
        )
    found = findings()
    assert problems(found) == []  # never seen: it may only have been looked for at a wrong address
    assert named(found, "cco")["value"].startswith("not found at cco")
    with opened(ledger) as con:
        con.execute("update run set frames = 3 where source_id = ?", (source,))
    found = findings()
    assert problems(found) == ["cco"]
    assert named(found, "cco")["detail"] == "gone"


def test_a_file_that_others_can_read_is_a_problem(ledger: Path) -> None:
    ledger.chmod(0o644)
    found = findings()
    assert problems(found) == ["mode"]
    assert named(found, "mode")["detail"].startswith(f"Close it: chmod 600 {ledger}")
    assert stat.S_IMODE(ledger.stat().st_mode) == 0o644


def test_another_home_zone_is_noted(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCOSTDB_HOME_TZ", "Asia/Kolkata")
    zone = named(findings(), "home zone")
    assert (zone["state"], zone["value"]) == ("note", "UTC")
    assert "Asia/Kolkata" in zone["detail"]


def test_sums_that_are_behind_are_noted(ledger: Path) -> None:
    with opened(ledger) as con:
        con.execute("insert into dirty_bucket select bucket_s from calendar")
    assert named(findings(), "rollups")["state"] == "note"


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_ledger_is_a_problem(home: Path, content: bytes) -> None:
    (home / "x.db").write_bytes(content)
    found = findings("--db", "x.db")
    assert len(problems(found)) == 1
    assert (home / "x.db").read_bytes() == content


def test_a_newer_ledger_is_a_problem(ledger: Path) -> None:
    with opened(ledger) as con:
        con.execute("pragma user_version = 9999")
    found = findings()
    assert problems(found) == ["file"]
    assert "Update ccostdb" in named(found, "file")["detail"]


def test_damage_is_found(ledger: Path) -> None:
    with opened(ledger) as con:
        page = con.execute("select rootpage from sqlite_schema where name = 'call_by_time'").fetchone()[0]
        size = con.execute("pragma page_size").fetchone()[0]
    with ledger.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    assert "integrity" in problems(findings())


def test_a_second_sqlite_in_the_environment_is_a_problem(home: Path) -> None:
    """A package of that name, installed beside ccostdb."""
    (home / "site" / "pysqlite3").mkdir(parents=True)
    (home / "site" / "pysqlite3" / "__init__.py").write_text("")
    code = f"import sys; sys.path.append({str(home / 'site')!r})\nfrom ccostdb.cli import main\nmain(['doctor'])"
    done = run_python("-c", code)
    assert done.returncode == 1
    assert "pip uninstall pysqlite3" in done.stdout


def test_a_person_reads_marks_and_hints(ledger: Path) -> None:
    with opened(ledger) as con:
        add_cco(con)
        con.execute("update call set input_tokens = 1000 where call_id = 'cco:3'")
        con.execute("update model set name = 'odd\x1b[2J' where name = 'mystery-1'")
    shown = on_terminal("doctor")
    for text in ("Settings", "Ledger", "Sources", "Prices", "✓", "•", "✗", "ccostdb reprice"):
        assert text in shown
    assert "\x1b[2J" not in shown


def test_a_folder_in_place_of_the_ledger_is_a_problem(home: Path) -> None:
    (home / "x.db").mkdir()
    assert len(problems(findings("--db", "x.db"))) == 1


def add_job(con: sqlite3.Connection, job: str, outcome: str | None, ago_s: int = 0, detail: str | None = None) -> None:
    began_ns = time.time_ns() - (ago_s + 2) * 1_000_000_000
    ended_ns = began_ns + 1_000_000_000 if outcome != "killed" else None
    row = (job, began_ns, ended_ns, "failed" if outcome == "killed" else outcome, detail)
    con.execute("insert into job_run (job, started_ns, ended_ns, outcome, detail) values (?, ?, ?, ?, ?)", row)


def test_a_job_whose_last_run_failed_is_a_problem_until_it_runs_well(ledger: Path) -> None:
    with opened(ledger) as con:
        add_job(con, "prune", "ok")
        add_job(con, "prune", "failed", detail="the disk is full")
        found = findings()
        assert problems(found) == ["prune"]
        assert named(found, "prune")["detail"] == "the disk is full"
        add_job(con, "prune", "killed")
        assert named(findings(), "prune")["state"] == "note"
        add_job(con, "prune", "ok")
        assert "prune" not in [each["name"] for each in findings()]


def test_a_job_that_failed_days_ago_and_had_nothing_to_do_since_is_no_problem(ledger: Path) -> None:
    with opened(ledger) as con:
        add_job(con, "budgets", "failed", detail="exit status 1")
        con.execute("update job_run set started_ns = started_ns - ?", (3 * DAY_NS,))
    assert problems(findings()) == []


def test_the_age_of_the_last_backup_is_noted_where_backups_are_on(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "backup" not in [each["name"] for each in findings()]  # no process keeps running here: none is due
    with opened(ledger) as con:
        add_job(con, "rollups", "ok")
    assert named(findings(), "backup")["value"] == "there is none yet"
    settings = Settings(ledger)
    back_up(settings, backup_folder(settings), time.time_ns() - 3 * DAY_NS)
    assert named(findings(), "backup")["value"] == "the last is 3 days old"
    back_up(settings, backup_folder(settings), time.time_ns())
    assert named(findings(), "backup")["state"] == "ok"
    monkeypatch.setenv("CCOSTDB_BACKUP_AT", "never")
    assert "backup" not in [each["name"] for each in findings()]


def test_the_command_that_makes_a_backup_is_the_mend_and_a_copy_of_another_ledger_is_none(ledger: Path) -> None:
    back_up(Settings(ledger), backup_folder(Settings(ledger)), time.time_ns())
    with opened(ledger) as con:
        add_job(con, "rollups", "ok")
        con.execute("update ledger set made_at_s = made_at_s + 1")
    late = named(findings(), "backup")
    assert (late["state"], late["detail"]) == ("note", "Make one: ccostdb backup")
    assert ccostdb("backup").exit_code == 0
    assert named(findings(), "backup")["state"] == "ok"


def test_a_clock_that_was_set_back_is_a_problem_and_a_call_of_tomorrow_a_note(ledger: Path) -> None:
    tomorrow_ns = time.time_ns() + DAY_NS
    assert named(findings(), "clock")["state"] == "ok"
    with opened(ledger) as con:
        add_calls(con, [{"call_id": "x", "source_id": add_source(con, "cca"), "occurred_ns": tomorrow_ns}])
        assert named(findings(), "clock")["state"] == "note"
        con.execute("update run set updated_ns = ?", (tomorrow_ns,))
    assert named(findings(), "clock")["state"] == "problem"


@pytest.mark.parametrize(("counted", "per_hour", "is_found"), [(True, 5, True), (True, 9, False), (False, 5, False)])
def test_the_same_spend_in_two_counted_sources_is_a_problem(
    ledger: Path, counted: bool, per_hour: int, is_found: bool
) -> None:
    with opened(ledger) as con:
        claude, cco = add_source(con, "claude-code", "other"), add_source(con, "cco", counted=counted)
        for source_id, calls in ((claude, 5), (cco, per_hour)):
            times = [JULY_1 + hour * DAY_NS // 24 + call for hour in range(4) for call in range(calls)]
            priced = {"source_id": source_id, "computed_nusd": 1}
            add_calls(con, [{"call_id": f"{source_id}:{ns}", "occurred_ns": ns, **priced} for ns in times])
    overlaps = [each for each in findings() if "as many calls as" in each["value"]]
    assert [(each["name"], each["state"]) for each in overlaps] == ([("cco", "problem")] if is_found else [])
    if is_found:
        assert overlaps[0]["value"] == "as many calls as other in 4 of 4 hours"
        assert "[sources.cco]" in overlaps[0]["detail"]


def test_what_a_daemon_told_while_nobody_listened_is_noted(ledger: Path) -> None:
    with opened(ledger) as con:
        source = add_source(con, "ccd")
        con.execute(
            "insert into gap (source_id, epoch, kind, from_ns, to_ns, detected_ns, events) values "
            "(?1, 0, 'disconnected', 0, 5400000000000, 1, null), (?1, 0, 'dropped', 0, 1, 1, 12)",
            (source,),
        )
        con.execute(
            "insert into daemon_event (source_id, event_id, family, kind, occurred_ns, received_ns, content_sha256, "
            "conflicts) values (?, 'e', 'f', 'k', 1, 1, x'00', 3)",
            (source,),
        )
    found = findings()
    assert problems(found) == []
    notes = [each["value"] for each in found if each["name"] == "ccd" and each["state"] == "note"]
    assert notes == [
        "never read, rows written: 0",
        "disconnected for 1.5 h",
        "events dropped: 12",
        "events with another content under a known id: 3",
    ]


def test_a_budget_over_its_limit_is_a_note(ledger: Path, home: Path) -> None:
    (home / "ccostdb.toml").write_text('[[budget]]\nname = "all"\nmonthly = 1\n')
    with opened(ledger) as con:
        call = {"source_id": 1, "occurred_ns": time.time_ns(), "computed_nusd": 1_500_000_000}
        assert "all" not in [each["name"] for each in findings()]
        add_calls(con, [{"call_id": "now", **call}])
    over = named(findings(), "all")
    assert over["state"] == "note"
    assert over["value"].startswith("$1.50 spent in ")


def test_a_price_or_budget_that_cannot_be_used_is_a_problem_with_or_without_a_ledger(home: Path) -> None:
    (home / "ccostdb.toml").write_text('[[price]]\nmodel = "x"\n[[budget]]\nname = "all"\n')
    found = findings("--db", "new.db")
    assert problems(found) == ["price", "budget"]
    assert named(found, "price")["value"].startswith("[[price]] 1 (x): ")
    assert named(found, "budget")["value"].startswith("[[budget]] 1 (all): ")


def test_a_setting_that_is_not_there_is_said_to_be_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCOSTDB_KEEP_SAMPLES_DAYS", "never")
    found = findings("--db", "new.db")
    assert [named(found, name)["value"] for name in ("keep_samples_days", "keep_runs_days")] == ["never", "never"]
    assert [named(found, name)["value"] for name in ("cca_api_key", "ccd_headers")] == ["not set", "not set"]
    assert named(found, "cco_counted")["value"] == "auto"


def test_a_key_in_ccds_address_is_in_no_finding(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCOSTDB_CCD_URL", "http://127.0.0.1:9/events?token=sekrit-1&profile=work")
    with opened(ledger) as con:
        source = add_source(con, "ccd", "ccd (http://localhost:9/events?token=sekrit-1)")
        con.execute(
            "insert into run (source_id, started_ns, updated_ns, outcome, error) values (?, 1, 1, 'failed', ?)",
            (source, "http://127.0.0.1:9/events?token=sekrit-1 answers 401"),
        )
    found = findings()
    assert named(found, "ccd_url")["value"] == "http://127.0.0.1:9/events"
    assert "sekrit" not in json.dumps(found)
    assert "ccd (http://localhost:9/events?token=[hidden])" in [each["name"] for each in found]


@pytest.mark.parametrize(
    ("away_s", "said"), [(2, "2.0 s"), (90, "1.5 min"), (5400, "1.5 h"), (36_000_000, "10,000.0 h")]
)
def test_a_short_time_without_a_connection_is_told_in_seconds(ledger: Path, away_s: int, said: str) -> None:
    with opened(ledger) as con:
        con.execute(
            "insert into gap (source_id, epoch, kind, from_ns, to_ns, detected_ns) "
            "values (?, 0, 'disconnected', 0, ?, 1)",
            (add_source(con, "ccd"), away_s * 1_000_000_000),
        )
    assert f"disconnected for {said}" in [each["value"] for each in findings()]


def test_what_a_budget_has_spent_is_told_in_cents(ledger: Path, home: Path) -> None:
    (home / "ccostdb.toml").write_text('[[budget]]\nname = "all"\nmonthly = 0.1\n')
    with opened(ledger) as con:
        add_calls(
            con, [{"call_id": "now", "source_id": 1, "occurred_ns": time.time_ns(), "computed_nusd": 390_848_000}]
        )
    assert named(findings(), "all")["value"].startswith("$0.39 spent in ")

"""Reports as a person and a script meet them: the rows, their days, and what their totals leave out."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from commands import add_cco, ccostdb, objects, on_terminal, opened, run
from ledger_rows import add_calls, add_source

from ccostdb.reports import KINDS
from ccostdb.settings import COSTS


def test_a_pipe_gets_csv_with_the_columns_of_the_view(ledger: Path) -> None:
    result = run("report")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    with opened(ledger) as con:
        expected = [column[0] for column in con.execute("select * from daily_costs").description]
    assert list(rows[0]) == expected
    assert [(row["day"], row["calls"], row["output_tokens"]) for row in rows] == [
        ("2026-07-01", "1", "100"),
        ("2026-07-02", "2", "500"),
    ]
    assert result.stderr == ""


def test_csv_and_json_say_the_same(ledger: Path) -> None:
    as_json = objects(ccostdb("report", "--json"))
    as_csv = list(csv.DictReader(io.StringIO(ccostdb("report", "--csv").stdout)))
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in as_json] == as_csv


@pytest.mark.parametrize("kind", [*KINDS, "savings"])
def test_every_report_has_rows_as_json(ledger: Path, kind: str) -> None:
    words = ("savings",) if kind == "savings" else ("report", kind)
    assert objects(ccostdb(*words, "--json"))


def test_days_are_the_ledgers_until_a_writer_changes_its_zone(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = (("report", "--json"), ("export", "daily_costs", "--format", "json"))
    before = [objects(ccostdb(*words)) for words in commands]
    monkeypatch.setenv("CCOSTDB_HOME_TZ", "Asia/Kolkata")
    assert [objects(ccostdb(*words)) for words in commands] == before
    assert ccostdb("rollup").exit_code == 0
    assert [[row["calls"] for row in objects(ccostdb(*words))] for words in commands] == [[3], [3]]


def test_days_are_those_of_the_zone_that_is_asked_for(ledger: Path) -> None:
    kolkata = objects(ccostdb("report", "--tz", "Asia/Kolkata", "--json"))
    assert [(row["day"], row["calls"]) for row in kolkata] == [("2026-07-02", 3)]
    los_angeles = objects(ccostdb("report", "--tz", "America/Los_Angeles", "--until", "2026-07-01", "--json"))
    assert [(row["day"], row["calls"]) for row in los_angeles] == [("2026-07-01", 1)]


def test_since_and_until_include_their_days(ledger: Path) -> None:
    for words, calls in [
        (("--since", "2026-07-02"), [2]),
        (("--until", "2026-07-01"), [1]),
        (("--since", "2026-07-01", "--until", "2026-07-02"), [1, 2]),
        (("--since", "2026-07"), [1, 2]),
        (("--until", "2026-06"), []),
    ]:
        assert [row["calls"] for row in objects(ccostdb("report", "--json", *words))] == calls
    assert objects(ccostdb("report", "models", "--json", "--until", "2026-07-01"))[0]["calls"] == 1


def test_by_adds_a_row_for_each_value(ledger: Path) -> None:
    rows = objects(ccostdb("report", "--by", "model", "--json"))
    assert [(row["day"], row["model"]) for row in rows] == [
        ("2026-07-01", "claude-sonnet-4-5-20250929"),
        ("2026-07-02", "claude-opus-4-5-20251101"),
        ("2026-07-02", "claude-sonnet-4-5-20250929"),
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("weekly", "--by", "model"), "There is no report weekly --by model.\n--by model goes with daily and monthly."),
        (("models", "--by", "agent"), "There is no report models --by agent.\n--by agent goes with daily."),
        (("--since", "soon"), "'soon' is no day.\nWrite 2026-07-01, 2026-07, today, yesterday or 7d."),
        (("--since", "2026-02-30"), "'2026-02-30' is no day."),
        (("--since", ""), "'' is no day.\nWrite 2026-07-01, 2026-07, today, yesterday or 7d."),
        (("--since", "0d"), "'0d' is no day.\nWrite 2026-07-01, 2026-07, today, yesterday or 7d."),
        (("--since", "-3d"), "'-3d' is no day."),
        (("--since", "٧d"), "'٧d' is no day."),
        (("--since", "1_0d"), "'1_0d' is no day."),
        (("--since", "99999999999d"), "'99999999999d' is no day."),
        (("--since", "99999d"), "'99999d' is outside the years 1970 to 2261."),
        (("--until", "9999-12-31"), "'9999-12-31' is outside the years 1970 to 2261."),
        (("--until", "9999-12"), "'9999-12' is outside the years 1970 to 2261."),
        (("--until", "2262-01-01"), "'2262-01-01' is outside the years 1970 to 2261."),
        (("--since", "0001-01-01"), "'0001-01-01' is outside the years 1970 to 2261."),
        (("--since", "1969-12"), "'1969-12' is outside the years 1970 to 2261."),
        (
            ("--since", "2026-07-02", "--until", "2026-07-01"),
            "The first day, 2026-07-02, is after the last, 2026-07-01",
        ),
        (("--tz", "Asia/Kolkatta"), "There is no time zone 'Asia/Kolkatta'.\nDid you mean Asia/Kolkata?"),
        (("--source", "claude"), "This ledger has no source 'claude'.\nDid you mean claude-code?"),
    ],
)
def test_a_question_without_an_answer_is_explained(ledger: Path, words: tuple[str, ...], sentence: str) -> None:
    result = ccostdb("report", *words)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {sentence}")


def test_a_hint_lists_no_query_of_an_address(ledger: Path) -> None:
    with opened(ledger) as con:
        add_source(con, "ccd", "ccd (http://localhost:9/events?token=sekrit)")
    hint = ccostdb("report", "--source", "nope").stderr.splitlines()[-1]
    assert hint == "There are: ccd, ccd (http://localhost:9/events, claude-code."


@pytest.mark.parametrize("word", ["today", "yesterday", "1d", "7d"])
def test_recent_days_can_be_said_in_a_word(ledger: Path, word: str) -> None:
    assert objects(ccostdb("report", "--since", word, "--json")) == []


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_the_first_and_the_last_day_can_be_asked_for(ledger: Path, zone: str) -> None:
    with opened(ledger) as con:
        add_cco(con, counted=True)
    words = ("--since", "1970-01-01", "--until", "2261-12-31", "--tz", zone)
    assert sum(row["calls"] for row in objects(ccostdb("report", *words, "--json"))) == 6


def test_a_total_names_what_it_leaves_out(ledger: Path) -> None:
    with opened(ledger) as con:
        add_cco(con)
    result = ccostdb("report", "--json")
    assert sum(row["calls"] for row in objects(result)) == 3
    assert result.stderr == (
        "Not counted: cco with 3 calls, $2.50, because Claude Code's transcripts show the same spend.\n"
    )


def test_a_counted_source_brings_its_gaps_and_its_calls_without_a_price(ledger: Path) -> None:
    with opened(ledger) as con:
        add_cco(con, counted=True)
    result = ccostdb("report", "--json")
    assert sum(row["calls"] for row in objects(result)) == 6
    assert result.stderr.splitlines() == [
        "Without a price, so in no cost: 1 call of mystery-1.",
        "Missing, so in no total: 7 calls, $1.25 (ccostdb export gaps).",
        "Missing, so in no total: calls of unknown number, in 1 restart.",
    ]
    assert "Missing" not in ccostdb("report", "--since", "2026-07-02").stderr


def test_a_source_asked_for_by_name_is_shown_though_it_is_not_counted(ledger: Path) -> None:
    with opened(ledger) as con:
        add_cco(con)
    result = ccostdb("report", "--source", "cco", "--json")
    assert [row["cost_usd"] for row in objects(result)] == [2.5]
    assert "cco is counted in no other total: Claude Code's transcripts show the same spend." in result.stderr


def test_reported_and_computed_costs_can_be_asked_for(ledger: Path) -> None:
    with opened(ledger) as con:
        add_cco(con, counted=True)
    rows = {cost: objects(ccostdb("report", "--since", "2026-07-02", "--cost", cost, "--json"))[0] for cost in COSTS}
    assert rows["reported"]["cost_usd"] == 2.5
    assert rows["reported"]["unpriced_calls"] == 3
    assert rows["auto"]["cost_usd"] == pytest.approx(rows["reported"]["cost_usd"] + rows["computed"]["cost_usd"])


def test_the_autumn_hour_that_comes_twice_stands_in_its_order(ledger: Path) -> None:
    with opened(ledger) as con:
        source = add_source(con, "ccd")
        hours = (1_792_887_300 + 3600 * number for number in range(3))  # around 2026-10-25T01:00Z, Berlin's change
        add_calls(con, [{"call_id": f"h{s}", "source_id": source, "occurred_ns": s * 10**9} for s in hours])
    rows = objects(ccostdb("report", "hourly", "--tz", "Europe/Berlin", "--since", "2026-10-25", "--json"))
    assert [row["hour"][11:] for row in rows] == ["02:00+02:00", "02:00+01:00", "03:00+01:00"]


def test_an_empty_ledger_says_the_next_command(empty: Path) -> None:
    result = ccostdb("report", "--json")
    assert objects(result) == []
    assert result.stderr.startswith("The ledger has no calls yet. Record some with ccostdb ingest")


def test_a_terminal_gets_a_table_with_units_totals_and_what_is_left_out(ledger: Path) -> None:
    with opened(ledger) as con:
        add_cco(con)
    shown = on_terminal("report")
    assert "\x1b[" in shown
    for text in ("Day", "tokens", "2026-07-02", "Total", "600", "Not counted: cco"):
        assert text in shown
    assert "Errors" not in shown  # a column in which nothing stands


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
@pytest.mark.parametrize("words", [("report",), ("report", "sessions"), ("savings",), ("report", "sources")])
def test_a_table_never_is_wider_than_the_terminal(ledger: Path, words: tuple[str, ...], columns: int) -> None:
    from rich.text import Text

    lines = [Text.from_ansi(text).plain.rstrip() for text in on_terminal(*words, columns=columns).splitlines()]
    assert max(len(text) for text in lines if not text.startswith(("Not", "No room"))) <= columns


def test_a_project_with_control_characters_cannot_reach_the_terminal(ledger: Path) -> None:
    with opened(ledger) as con:
        con.execute("update project set name = '/home/\x1b]0;owned\x07/x'")
    assert "\x1b]" not in on_terminal("report", "projects")


@pytest.mark.parametrize("words", [("report", "projects"), ("export", "project_costs"), ("export", "calls")])
@pytest.mark.parametrize("form", ["csv", "json"])
def test_rows_on_a_terminal_have_no_control_characters_and_in_a_pipe_all(
    ledger: Path, words: tuple[str, ...], form: str
) -> None:
    with opened(ledger) as con:
        con.execute("update project set name = '/home/\x1b]0;owned\x07\x9b2J\u202e/x'")
    how = ("--format", form) if words[0] == "export" else (f"--{form}",)
    shown = on_terminal(*words, *how)
    assert "/home/" in shown
    assert not set(shown) & set("\x1b\x07\x9b\u202e")
    assert "\x9b2J\u202e/x" in run(*words, *how).stdout

"""What an export holds of the days that it was asked for, in any zone, and of a query's parameters."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commands import ccostdb, objects, on_terminal
from ledger_rows import add_calls, add_name, add_source, make_ledger
from pricing import at
from sized_ledgers import week_ledger

from ccostdb.errors import BadArgument
from ccostdb.export import names, parameters_of, select, view_names
from ccostdb.resources import sql_names
from ccostdb.views import report_names, view_statements

NOW = at("2026-07-08T12:00")
TIMELESS = {"budgets", "source_counted", "source_health"}


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    path = week_ledger(tmp_path_factory.mktemp("week") / "week.db", NOW, "UTC")
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        yield con


@pytest.fixture
def three_days(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A call in each hour of three days, in a ledger of UTC."""
    with closing(make_ledger(tmp_path / "ledger.db")) as con:
        call = {"source_id": add_source(con, "claude-code"), "computed_nusd": 1, "reported_nusd": 2}
        start = at("2026-07-01")
        hours = range(72)
        add_calls(con, [{**call, "call_id": f"c{h:02}", "occurred_ns": start + h * 3600 * 10**9} for h in hours])
        yield con


def exported(con: sqlite3.Connection, name: str, **asked: Any) -> list[dict[str, Any]]:
    """The rows by column; what a zone changed is taken back."""
    columns, rows = select(con, name, now_ns=NOW, **asked)
    found = [dict(zip(columns, row, strict=True)) for row in rows]
    if con.in_transaction:
        con.execute("rollback")
    return found


@pytest.mark.parametrize("name", sorted(set(dict(view_statements())) - TIMELESS))
def test_two_halves_of_a_view_are_the_whole(week: sqlite3.Connection, name: str) -> None:
    """Of a view with a row for each time; sums over more than a day have halves, too."""
    whole = exported(week, name)
    assert whole
    early, late = exported(week, name, until="2026-07-05"), exported(week, name, since="2026-07-06")
    if name in report_names() and "day" not in whole[0] and "hour" not in whole[0]:
        assert sum(row.get("calls") or 0 for row in early + late) == sum(row.get("calls") or 0 for row in whole)
    else:
        counted = [sorted(map(str, rows)) for rows in (early + late, whole)]
        assert counted[0] == counted[1]
    assert exported(week, name, since="2027-01-01") == exported(week, name, until="2026-06-30") == []


@pytest.mark.parametrize("name", sorted(TIMELESS))
def test_a_view_without_a_time_says_so(week: sqlite3.Connection, name: str) -> None:
    with pytest.raises(BadArgument, match=f"{name} says no time"):
        exported(week, name, since="2026-07-01")
    assert exported(week, name, tz="Asia/Kolkata") == exported(week, name)


def test_days_are_those_of_the_zone(three_days: sqlite3.Connection) -> None:
    for zone, first in (("UTC", "c24"), ("Asia/Kolkata", "c19"), ("America/New_York", "c28")):
        rows = exported(three_days, "calls", since="2026-07-02", until="2026-07-02", tz=zone)
        assert (rows[0]["call_id"], len(rows)) == (first, 24)
        (day,) = exported(three_days, "daily_costs", since="2026-07-02", until="2026-07-02", tz=zone)
        assert (day["day"], day["calls"]) == ("2026-07-02", 24)
        cells = exported(three_days, "daily_usage", since="2026-07-02", until="2026-07-02", tz=zone)
        assert sum(cell["calls"] for cell in cells) == 24
        differences = exported(three_days, "cost_differences", since="2026-07-02", until="2026-07-02", tz=zone)
        assert len(differences) == 24


def test_days_of_a_night_with_another_offset_are_whole(three_days: sqlite3.Connection) -> None:
    source = three_days.execute("select source_id from source").fetchone()[0]
    hours = range(at("2026-10-24T20:00"), at("2026-10-26T02:00"), 3600 * 10**9)
    add_calls(three_days, [{"call_id": f"d{ns}", "source_id": source, "occurred_ns": ns} for ns in hours])
    asked = {"since": "2026-10-25", "until": "2026-10-25", "tz": "Europe/Berlin"}
    assert len(exported(three_days, "calls", **asked)) == 25
    assert exported(three_days, "daily_costs", **asked)[0]["calls"] == 25


def test_the_time_index_finds_the_calls_of_a_day(three_days: sqlite3.Connection) -> None:
    asked: list[str] = []
    three_days.set_trace_callback(asked.append)
    exported(three_days, "calls", since="2026-07-02", until="2026-07-02")
    three_days.set_trace_callback(None)
    text = next(each for each in asked if each.startswith("with call"))
    plan = " ".join(row[3] for row in three_days.execute(f"explain query plan {text}"))
    assert "call_by_time" in plan
    assert "SCAN call" not in plan


def test_words_for_days_are_those_of_reports(three_days: sqlite3.Connection) -> None:
    assert len(exported(three_days, "calls", since="2026-07")) == 72
    assert len(exported(three_days, "calls", since="6d")) == 24
    assert exported(three_days, "calls", since="today") == []
    for asked in ({"since": "soon"}, {"since": "2026-07-02", "until": "2026-07-01"}, {"tz": "Mars/Olympus"}):
        with pytest.raises(BadArgument):
            exported(three_days, "calls", **asked)


def test_a_view_of_ones_own_is_narrowed_by_its_day(three_days: sqlite3.Connection) -> None:
    three_days.execute("create view mine as select day, calls from daily_costs")
    assert exported(three_days, "mine", since="2026-07-03") == [{"day": "2026-07-03", "calls": 24}]


def test_a_question_gets_its_parameters_and_its_days(three_days: sqlite3.Connection) -> None:
    assert {"since", "until", "model"} <= set(parameters_of("calls_of"))
    assert len(exported(three_days, "calls_of", since="2026-07-03")) == 24
    assert len(exported(three_days, "calls_of", parameters={"rows": "5"})) == 5
    (row,) = exported(three_days, "calls_of", since="2026-07-03", parameters={"rows": 1})
    assert row["call_id"] == "c71"
    with pytest.raises(BadArgument, match="no parameter 'modell'") as caught:
        exported(three_days, "calls_of", parameters={"modell": "x"})
    assert caught.value.hint == "Did you mean model?"
    with pytest.raises(BadArgument, match="cannot be asked for the days"):
        exported(three_days, "calls_without_price", since="2026-07-03")
    with pytest.raises(BadArgument) as caught:
        exported(three_days, "cost_of_day", since="2026-07-03")
    assert caught.value.hint == "It has a parameter for that: -p day=2026-07-01"
    for rows in ("abc", "-1", "1.5", " 1"):
        with pytest.raises(BadArgument, match="rows is a whole number"):
            exported(three_days, "calls_of", parameters={"rows": rows})
    with pytest.raises(BadArgument, match="since is given twice"):
        exported(three_days, "calls_of", since="2026-07-03", parameters={"since": "2026-07-01"})
    with pytest.raises(BadArgument, match="is no question"):
        exported(three_days, "calls", parameters={"rows": 1})


@pytest.mark.parametrize("name", ["calls_of", "calls_without_price", "cache_losses", "dearest_sessions"])
def test_a_question_has_all_rows_where_no_number_is_asked_for(tmp_path: Path, name: str) -> None:
    with closing(make_ledger(tmp_path / "ledger.db")) as con:
        source, priced = add_source(con, "claude-code"), None if name == "calls_without_price" else 2
        call = {"source_id": source, "input_tokens": 1, "computed_nusd": priced, "uncached_nusd": 1}
        add_calls(
            con,
            [
                {**call, "call_id": f"c{n}", "occurred_ns": NOW + n, "session_id": add_name(con, "session", f"s{n}")}
                for n in range(250)
            ],
        )
        (calls,) = con.execute("select count(*) from calls").fetchone()
        assert len(exported(con, name)) == calls == 250
        assert len(exported(con, name, parameters={"rows": "7"})) == 7
        assert len(exported(con, name, parameters={"rows": ""})) in (100, 200)  # as on a page


def test_a_value_is_never_sql(three_days: sqlite3.Connection) -> None:
    hostile = "' or 1=1 --"
    assert exported(three_days, "calls_of", parameters={"model": hostile}) == []
    with pytest.raises(BadArgument):
        exported(three_days, f"calls{hostile}")


def test_every_name_can_be_exported_in_another_zone(week: sqlite3.Connection) -> None:
    assert set(names(week)) == {*view_names(week), *sql_names("questions"), "cco_costs"}
    for name in names(week):
        exported(week, name, tz="Asia/Kathmandu")


def test_the_command_takes_days_a_zone_and_parameters(ledger: Path) -> None:
    def printed(*words: str) -> list[dict[str, Any]]:
        return objects(ccostdb("export", *words, "--format", "json"))

    assert [row["output_tokens"] for row in printed("calls", "--until", "2026-07-01")] == [100]
    assert [row["calls"] for row in printed("daily_costs", "--tz", "Asia/Kolkata")] == [3]
    assert len(printed("calls_of", "--since", "2026-07", "-p", "rows=2")) == 2
    assert len(printed("cco_costs", "--since", "2026-07-02")) == 2
    wrong = ccostdb("export", "calls_of", "-p", "rows")
    assert wrong.exit_code == 1
    assert "Write -p NAME=VALUE" in wrong.output


def test_a_terminal_sees_the_rows_grow_where_they_go_to_a_file(ledger: Path, tmp_path: Path) -> None:
    said = on_terminal("export", "calls", "-o", str(tmp_path / "calls.csv"), "--db", str(ledger))
    assert "Error" not in said
    assert len((tmp_path / "calls.csv").read_text().splitlines()) == 4

"""The health view: how it goes, and what to do; it answers 200 however red it is."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from ledger_rows import add_calls, add_name
from sized_ledgers import empty_ledger, week_ledger
from test_home import Page, get

from ccostdb.daemon.record import record_path, recorded
from ccostdb.health.doctor import NOTE, OK, PROBLEM
from ccostdb.health.overview import Health, look
from ccostdb.lock import writing_lock
from ccostdb.serve import make_datasette
from ccostdb.settings import Settings


@pytest.fixture
def week(tmp_path: Path) -> Path:
    return week_ledger(tmp_path / "ledger.db")


def seen(path: Path) -> Health:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)) as con:
        con.execute("begin")
        return look(con, Settings(path), time.time_ns())


def test_a_ledger_with_trouble_is_red_and_the_page_answers_all_the_same(week: Path) -> None:
    found = seen(week)
    assert found.state == PROBLEM
    page, told = get(week, "/-/ccostdb/health", "/-/ccostdb/health.json")
    assert (page.status_code, told.status_code) == (200, 200)
    assert told.headers["content-type"] == "application/json; charset=utf-8"
    said = json.loads(told.text)
    assert said["status"] == "problem"
    assert said["recording"] is None
    assert {each["topic"] for each in said["findings"]} >= {"recording", "prices", "sources", "jobs"}
    texts = Page(page.text).text
    assert [each["name"] for each in said["findings"] if each["state"] != OK and each["name"] not in texts] == []


def test_every_finding_that_needs_a_person_says_what_to_do_or_why(week: Path) -> None:
    assert [each for each in seen(week).findings if each.state == PROBLEM and not each.detail] == []


def test_a_source_says_in_a_word_how_it_does(tmp_path: Path) -> None:
    path = empty_ledger(tmp_path / "ledger.db")
    kinds = {
        "failed": (PROBLEM, "'failed', 'error', 1"),
        "not found": (NOTE, "'failed', 'error', 0"),
        "up to date": (OK, "'ok', 'reading', 1"),
        "stopped": (NOTE, "'stopped', 'connected', 1"),
        "cut off": (NOTE, "null, 'connected', 1"),
    }
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        for name, (_, values) in kinds.items():
            con.execute("insert into source (kind, name, address) values ('ccd', ?1, ?1)", (name,))
            con.execute(
                "insert into run (source_id, started_ns, updated_ns, outcome, state, frames)"
                f" values (last_insert_rowid(), 1, 1, {values})"
            )
        con.execute("insert into source (kind, name, address) values ('ccd', 'never read', 'x')")
    found = {row["source"]: (row["how"], row["verdict"]) for row in seen(path).sources}
    expected = {name: (name, verdict) for name, (verdict, _) in kinds.items()}
    assert found == {**expected, "never read": ("never read", NOTE)}


def test_who_records_is_told_and_a_command_that_writes_too(week: Path) -> None:
    assert seen(week).recording is None
    with writing_lock(week):
        assert seen(week).is_busy
        with recorded(Settings(week), None):
            found = seen(week)
            assert found.recording is not None
            assert (found.recording.pid, found.is_busy) == (os.getpid(), False)
            assert [row["how"] for row in found.sources if row["source"] == "claude-code"] == ["following"]
            page, told = get(week, "/-/ccostdb/health", "/-/ccostdb/health.json")
    assert f"pid {os.getpid()}" in page.text
    assert json.loads(told.text)["recording"]["pid"] == os.getpid()
    assert not record_path(week).exists()


def test_a_new_ledger_needs_nobody_and_says_how_to_begin(tmp_path: Path) -> None:
    path = empty_ledger(tmp_path / "ledger.db")
    found = seen(path)
    assert found.state == NOTE
    assert [(each.topic, each.detail) for each in found.findings if each.state != OK] == [
        ("recording", "To record from now on: ccostdb start")
    ]
    (page,) = get(path, "/-/ccostdb/health")
    assert page.status_code == 200


def test_money_that_is_missing_and_calls_without_a_price_are_named_with_their_rows(week: Path) -> None:
    found = seen(week)
    with closing(sqlite3.connect(week)) as con:
        (unpriced,) = con.execute("select sum(unpriced_calls) from daily_usage").fetchone()
        (gaps,) = con.execute("select count(*) from gap").fetchone()
        (rejects,) = con.execute("select sum(times) from rejected").fetchone()
    assert sum(row["unpriced_calls"] for row in found.unpriced) == unpriced
    assert sum(row["gaps"] for row in found.gaps) == gaps
    assert sum(row["times"] for row in found.rejects) == rejects
    (page,) = get(week, "/-/ccostdb/health")
    assert "/ccostdb/calls_without_price?model=mystery-1" in page.text
    assert "/ccostdb/gaps?source=cco&amp;kind=overflow" in page.text


def test_many_models_without_a_price_are_one_thing_to_look_at(week: Path) -> None:
    with closing(sqlite3.connect(week, isolation_level=None)) as con:
        for number in range(25):
            model = add_name(con, "model", f"nameless-{number:02}")
            add_calls(
                con,
                [
                    {"call_id": f"n{number}", "source_id": 1, "model_id": model, "occurred_ns": time.time_ns()}
                    | {"input_tokens": 1}
                ],
            )
    found = [each for each in seen(week).findings if each.topic == "prices" and each.state == PROBLEM]
    assert len(found) <= 2  # those that a rate would price, and those that none can
    assert any(re.search(r" and \d\d more$", text) for each in found for text in (each.name, each.value))
    (page,) = get(week, "/-/ccostdb/health")
    assert page.text.count("/ccostdb/calls_without_price?model=") == 5
    assert "/ccostdb/models_without_price" in page.text


def test_a_ledger_that_went_away_is_told_and_not_a_crash(week: Path) -> None:
    async def ask() -> None:
        datasette = make_datasette(Settings(week))
        await datasette.invoke_startup()
        assert (await datasette.client.get("/-/ccostdb")).status_code == 200
        week.rename(week.with_name("elsewhere.db"))
        for address in ("/-/ccostdb", "/-/ccostdb/health"):
            answer = await datasette.client.get(address)
            assert answer.status_code == 200
            assert "cannot be read" in answer.text
        told = await datasette.client.get("/-/ccostdb/health.json")
        assert (told.status_code, told.json()["status"]) == (200, "problem")

    asyncio.run(ask())


def test_no_secret_of_the_settings_is_shown(week: Path) -> None:
    with closing(sqlite3.connect(week, isolation_level=None)) as con:
        con.execute("update run set error = 'no answer at http://x/?key=verysecret123' where error is not null")
    settings = Settings(week, ccd_url="http://x/?key=verysecret123")
    with closing(sqlite3.connect(f"{week.as_uri()}?mode=ro", uri=True)) as con:
        assert "verysecret123" not in json.dumps(look(con, settings, time.time_ns()).told())

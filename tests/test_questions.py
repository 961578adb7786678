"""The canned questions: what they answer, that an empty ledger has an answer, and that none reads all calls."""

from __future__ import annotations

import asyncio
import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from ledger_rows import add_calls, add_name, add_source, make_ledger

from ccostdb.clock import SECOND_NS, parse_ns
from ccostdb.resources import datasette_metadata, sql
from ccostdb.serve import make_datasette
from ccostdb.settings import Settings

QUESTIONS: dict[str, dict[str, str]] = yaml.safe_load(datasette_metadata().read_text())["plugins"]["ccostdb"][
    "questions"
]
ZONE = "America/Los_Angeles"
USD = 1_000_000_000
SPLIT = {
    "input_tokens": 10,
    "output_tokens": 20,
    "cache_write_5m_tokens": 30,
    "cache_write_1h_tokens": 0,
    "cache_read_tokens": 40,
    "total_tokens": 100,
}


@pytest.fixture
def con(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    con = make_ledger(tmp_path / "ledger.db", ZONE)
    con.row_factory = sqlite3.Row
    yield con
    con.close()


def at(text: str) -> int:
    """A time, written in UTC, in nanoseconds."""
    return parse_ns(text) or 0


def call(number: int, source: int, occurred_ns: int, usd: float | None = 1.0, **more: Any) -> dict[str, Any]:
    cost = {"computed_nusd": None if usd is None else round(usd * USD), "uncached_nusd": None}
    return {"call_id": f"call {number}", "source_id": source, "occurred_ns": occurred_ns, **SPLIT, **cost, **more}


def ask(con: sqlite3.Connection, question: str, **parameters: str) -> list[dict[str, Any]]:
    """The answer as a list of rows by column name; a parameter that is not given is NULL."""
    answer = con.execute(sql(f"questions/{question}.sql"), defaultdict(lambda: None, parameters))
    return [dict(row) for row in answer]


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_has_words_and_an_empty_ledger_has_no_rows(question: str, con: sqlite3.Connection) -> None:
    assert QUESTIONS[question]["title"]
    assert QUESTIONS[question]["description"].endswith(".")
    assert ask(con, question) == []


@pytest.mark.parametrize("question", QUESTIONS)
def test_datasette_asks_every_question_with_empty_parameters_and_none_is_cut_off(
    question: str, two_years: Path
) -> None:
    datasette = make_datasette(Settings(two_years))
    answer = asyncio.run(datasette.client.get(f"/ccostdb/{question}.json?_shape=objects")).json()
    assert answer["truncated"] is False
    with closing(sqlite3.connect(two_years)) as con:
        con.row_factory = sqlite3.Row
        assert len(answer["rows"]) == len(ask(con, question, rows=""))


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_reads_all_calls(question: str, con: sqlite3.Connection) -> None:
    plan = con.execute(f"explain query plan {sql(f'questions/{question}.sql')}", defaultdict(lambda: None)).fetchall()
    steps = [row["detail"] for row in plan]
    assert not [step for step in steps if step.startswith(("SCAN call ", "SCAN calls"))]
    assert "SCAN call" not in steps


def test_today_is_a_day_of_the_home_zone(con: sqlite3.Connection) -> None:
    source = add_source(con, "claude-code")
    now = datetime.now(ZoneInfo(ZONE))
    first = now.replace(hour=0, minute=0, second=1, microsecond=0)
    times = {"today": first, "yesterday": first - timedelta(seconds=2)}
    calls = [call(n, source, int(each.timestamp()) * SECOND_NS, n) for n, each in enumerate(times.values(), start=1)]
    add_calls(con, calls)
    (row,) = ask(con, "cost_of_day")
    assert (row["day"], row["cost_usd"], row["day_cost_usd"]) == (f"{first:%Y-%m-%d}", 1.0, 1.0)
    assert ask(con, "cost_of_day", day="") == [row]
    (day_before,) = ask(con, "cost_of_day", day=f"{times['yesterday']:%Y-%m-%d}")
    assert day_before["cost_usd"] == 2.0


def test_a_day_is_told_by_project_agent_and_model_the_dearest_first(con: sqlite3.Connection) -> None:
    source, model = add_source(con, "claude-code"), add_name(con, "model", "m")
    agent = add_name(con, "agent", "a")
    noon = at("2026-07-01T19:00:00Z")
    costs = [(1.0, model, 0), (3.0, model, agent), (None, 0, 0)]
    add_calls(con, [call(n, source, noon + n, usd, model_id=m, agent_id=a) for n, (usd, m, a) in enumerate(costs)])
    told = [
        (row["model"], row["agent"], row["cost_usd"], row["share"]) for row in ask(con, "cost_of_day", day="2026-07-01")
    ]
    assert told == [("m", "a", 3.0, 0.75), ("m", None, 1.0, 0.25), (None, None, None, None)]
    assert ask(con, "cost_of_day", day="2026-07-02") == []
    assert ask(con, "cost_of_day", day="no day") == []


def test_a_project_has_its_month_and_the_one_before(con: sqlite3.Connection) -> None:
    source = add_source(con, "claude-code")
    shop, docs = (add_name(con, "project", name) for name in ("/shop", "/docs"))
    places = [
        ("2026-06-15T12:00:00Z", shop, 5.0),
        ("2026-07-02T12:00:00Z", shop, 3.0),
        ("2026-07-31T12:00:00Z", docs, 1.0),
    ]
    # In the home zone this is still July.
    places += [("2026-08-01T05:00:00Z", shop, 4.0), ("2026-08-01T12:00:00Z", docs, 9.0)]
    add_calls(con, [call(n, source, at(t), usd, project_id=p) for n, (t, p, usd) in enumerate(places)])
    told = [tuple(row.values())[:5] for row in ask(con, "project_costs_of_month", month="2026-07")]
    assert told == [("2026-07", "/shop", 7.0, 0.875, 5.0), ("2026-07", "/docs", 1.0, 0.125, None)]
    assert ask(con, "project_costs_of_month", month="July") == []


def test_a_dear_session_says_what_sets_it_apart(con: sqlite3.Connection) -> None:
    source, now = add_source(con, "claude-code"), at("2026-07-01T19:00:00Z")
    many, long, dear, usual = (add_name(con, "session", name) for name in ("many", "long", "dear", "usual"))
    calls = [call(n, source, now + n, 1.0, session_id=many) for n in range(40)]
    calls += [call(100, source, now, 9.0, session_id=long, input_tokens=9000, total_tokens=9090)]
    calls += [call(101, source, now, 90.0, session_id=dear)]
    calls += [call(102, source, now, 0.5, session_id=usual), call(103, source, now, None, session_id=usual)]
    calls += [call(104, source, now, 500.0)]  # of no session
    add_calls(con, calls)
    told = {row["session_id"]: row for row in ask(con, "dearest_sessions")}
    assert list(told) == ["dear", "many", "long", "usual"]
    assert told["dear"]["why"].startswith("dear tokens: ")
    assert told["many"]["why"].startswith("many calls: 3.6 ×")
    assert told["long"]["why"].startswith("long context in a call: ")
    assert (told["many"]["call_cost_usd"], told["many"]["cache_share"]) == (1.0, 0.5)
    assert (told["usual"]["unpriced_calls"], told["usual"]["agents_share"]) == (1, 0.0)
    assert [row["session_id"] for row in ask(con, "dearest_sessions", since="2026-07-02")] == []


def test_a_cache_that_lost_money_is_told_and_one_that_saved_is_not(con: sqlite3.Connection) -> None:
    source, now = add_source(con, "claude-code"), at("2026-07-01T19:00:00Z")
    lost, saved = (add_name(con, "session", name) for name in ("lost", "saved"))
    add_calls(
        con,
        [
            call(0, source, now, 1.0, session_id=lost, uncached_nusd=USD // 4),
            call(1, source, now, 1.0, session_id=lost, uncached_nusd=USD // 2),
            call(2, source, now, 1.0, session_id=saved, uncached_nusd=2 * USD),
        ],
    )
    (row,) = ask(con, "cache_losses")
    assert (row["session_id"], row["lost_usd"], row["calls"], row["reads_per_write"]) == ("lost", 1.25, 2, 80 / 60)
    assert ask(con, "cache_losses", until="2026-06-30") == []


def test_calls_without_a_price_are_told_by_model_and_one_by_one(con: sqlite3.Connection) -> None:
    source, now = add_source(con, "cco"), at("2026-07-01T19:00:00Z")
    new, old = (add_name(con, "model", name) for name in ("new", "old"))
    unsplit = dict.fromkeys(SPLIT) | {"total_tokens": 7}
    add_calls(
        con,
        [
            call(0, source, now, None, model_id=new),
            call(1, source, now + 1, None, model_id=new, **unsplit),
            call(2, source, now + 2, 1.0, model_id=new),
            call(3, source, now + 3, 1.0, model_id=old),
            call(4, source, now + 4, None),
        ],
    )
    models = [
        (row["model"], row["unpriced_calls"], row["unsplit_calls"], row["first_day"])
        for row in ask(con, "models_without_price")
    ]
    assert models == [("new", 2, 1, "2026-07-01"), (None, 1, 0, "2026-07-01")]
    told = [(row["call_id"], row["is_priceable"]) for row in ask(con, "calls_without_price")]
    assert told == [("call 4", 1), ("call 1", 0), ("call 0", 1)]
    assert [row["call_id"] for row in ask(con, "calls_without_price", model="new")] == ["call 1", "call 0"]
    assert [row["call_id"] for row in ask(con, "calls_without_price", model="-")] == ["call 4"]


def test_sources_disagree_on_a_day_by_what_each_of_them_saw(con: sqlite3.Connection) -> None:
    transcripts, cco = add_source(con, "claude-code"), add_source(con, "cco")
    days = [("2026-07-01T19:00:00Z", 3.0, 1.0), ("2026-07-02T19:00:00Z", 1.0, 6.0)]
    calls = [
        call(2 * n + k, (transcripts, cco)[k], at(day), usd[k]) for n, (day, *usd) in enumerate(days) for k in (0, 1)
    ]
    add_calls(con, [*calls, call(9, cco, at("2026-07-03T19:00:00Z"))])
    told = [
        (row["day"], row["source"], row["other_source"], row["difference_usd"])
        for row in ask(con, "source_differences")
    ]
    assert told == [("2026-07-02", "claude-code", "cco", -5.0), ("2026-07-01", "claude-code", "cco", 2.0)]


def test_reported_and_computed_costs_differ_by_model_in_the_last_days_that_have_calls(con: sqlite3.Connection) -> None:
    source, model = add_source(con, "cco"), add_name(con, "model", "m")
    july, may = at("2026-07-01T19:00:00Z"), at("2026-05-01T19:00:00Z")
    costs = [(july, 2 * USD), (july + 1, USD // 2), (july + 2, USD), (july + 3, None), (may, 5 * USD)]
    add_calls(con, [call(n, source, t, 1.0, reported_nusd=r, model_id=model) for n, (t, r) in enumerate(costs)])
    (row,) = ask(con, "reported_differences")
    assert tuple(row.values())[:7] == ("cco", "m", 2, 1, 2.5, 2.0, 0.5)
    (row,) = ask(con, "reported_differences", since="2026-05-01", until="2026-05-31")
    assert row["difference_usd"] == 4.0


def test_what_is_missing_is_told_of_gaps_rejects_prices_and_sources(con: sqlite3.Connection) -> None:
    transcripts, cco = add_source(con, "claude-code"), add_source(con, "cco")
    july = at("2026-07-01T19:00:00Z")
    add_calls(con, [call(0, transcripts, july, None), call(1, cco, july, 2.0)])
    columns = "source_id, epoch, kind, from_ns, to_ns, calls, cost_nusd, detected_ns"
    gap = f"insert into gap ({columns}) values (?, 1, ?, ?, ?, ?, ?, 0)"
    con.execute(gap, (cco, "overflow", july, july + 1, 3, USD))
    con.execute(gap, (cco, "overflow", july + 2, july + 3, 4, USD))
    con.execute(gap, (cco, "restart", None, july, None, None))
    con.execute("insert into rejected (source_id, at_ns, reason, times) values (?, ?, 'not JSON', 5)", (cco, july))
    told = {(row["source"], row["what"]): tuple(row.values())[2:5] for row in ask(con, "what_is_missing")}
    assert told == {
        ("claude-code", "no price"): (1, 1, None),
        ("cco", "gap: overflow"): (2, 7, 2.0),
        ("cco", "gap: restart"): (1, None, None),
        ("cco", "not understood: not JSON"): (5, None, None),
        ("cco", "source not counted"): (1, 1, 2.0),
    }


def test_the_calls_behind_a_number_are_those_that_it_counts(con: sqlite3.Connection) -> None:
    source, cco = add_source(con, "claude-code"), add_source(con, "cco")
    models = [0, *(add_name(con, "model", name) for name in ("m", "n"))]
    day = at("2026-07-01T19:00:00Z")
    add_calls(con, [call(n, source, day + n * 86400 * SECOND_NS, model_id=model) for n, model in enumerate(models * 2)])
    add_calls(con, [call(9, cco, day)])
    assert [row["call_id"] for row in ask(con, "calls_of")] == [f"call {n}" for n in (5, 4, 3, 2, 1, 0)]
    assert [row["call_id"] for row in ask(con, "calls_of", model="m")] == ["call 4", "call 1"]
    assert [row["call_id"] for row in ask(con, "calls_of", model="-")] == ["call 3", "call 0"]
    assert ask(con, "calls_of", model="nobody") == []
    assert ask(con, "calls_of", project="nobody") == ask(con, "calls_of", agent="nobody") == []
    bounded = ask(con, "calls_of", since="2026-07-02", until="2026-07-03", model="", session="", agent="-", project="-")
    assert [row["call_id"] for row in bounded] == ["call 2", "call 1"]
    assert [row["call_id"] for row in ask(con, "calls_of", source="cco")] == ["call 9"]
    assert [row["call_id"] for row in ask(con, "calls_of", rows="2")] == ["call 5", "call 4"]


def test_the_newest_calls_are_the_same_from_clean_and_from_dirty_quarter_hours(two_years: Path) -> None:
    with closing(sqlite3.connect(two_years)) as con:
        con.row_factory = sqlite3.Row
        assert con.execute("select count(*) from dirty_bucket").fetchone()[0]
        (until,) = con.execute("select day from calendar order by day desc limit 1 offset 900").fetchone()
        sums = [row["cost_usd"] for row in ask(con, "calls_of", since=until, until=until, rows="1000000")]
        day = con.execute("select calls, cost_usd from daily_costs where day = ?", (until,)).fetchone()
        assert len(sums) == day["calls"]
        assert math.fsum(each or 0 for each in sums) == pytest.approx(day["cost_usd"], abs=1e-8)
        newest = [row["call_id"] for row in ask(con, "calls_of", rows="300")]
        straight = "select call_id from calls where source in (select name from source_counted where counted)"
        found = con.execute(f"{straight} order by occurred_ns desc limit 300").fetchall()
        assert newest == [row["call_id"] for row in found]

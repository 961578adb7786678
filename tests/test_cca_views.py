"""The views over CCA's samples: real captures, every shape, change over time, and whatever types are stored."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cca_emulator import captured
from ledger_rows import add_source, make_ledger

from ccostdb.sources import cca

SECOND_NS = 1_000_000_000
AT_NS = 1_795_000_000 * SECOND_NS
TASKS, METRICS, ACTIVITY = "/api/v1/tasks", "/api/v1/tokens/metrics", "/api/v1/activity"
VIEWS = ("samples", "agents", "agent_tasks", "agent_workloads", "agent_tokens", "agent_recommendations")


@pytest.fixture
def con(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = make_ledger(tmp_path / "ledger.db")
    made.row_factory = sqlite3.Row
    add_source(made, "cca", "cca")
    yield made
    made.close()


def add(con: sqlite3.Connection, endpoint: str, value: Any, second: int = 0) -> None:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    add_body(con, endpoint, cca.parse(endpoint, 200, raw, AT_NS, 65_536).body, second)


def add_body(con: sqlite3.Connection, endpoint: str, text: str | None, second: int = 0) -> None:
    polled_ns = AT_NS + second * SECOND_NS
    con.execute(
        "insert into sample (source_id, endpoint, polled_ns, body) values (1, ?, ?, ?)", (endpoint, polled_ns, text)
    )


def rows(con: sqlite3.Connection, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in con.execute(query)]


def test_the_captured_agents_are_seen_where_they_are(con: sqlite3.Connection) -> None:
    for endpoint, raw in captured("auth-active").items():
        add(con, endpoint, raw)
    found = rows(con, "select seen_in, role, status, status_sent from agents order by seen_in, role, status")
    assert found == [
        ("acp/status", "backend", "connected", None),
        ("acp/status", "coordinator", "connected", None),
        ("acp/status", "frontend", "connected", None),
        ("activity", "backend", "idle", "idle"),
        ("activity", "backend", "running", "running"),
        ("activity", "frontend", "idle", "idle"),
        ("activity", "security", "running", "running"),
        ("agents", "backend", "idle", "Ready"),
        ("agents", "qa", "idle", "Ready"),
        ("agents", "security", "idle", "Ready"),
    ]
    assert rows(con, "select agent_id, last_activity from agents where seen_in = 'activity' and role = 'security'") == [
        ("8bf4b3a8-c6db-4cb0-bddf-9180b367d110", "2026-11-21T05:04:43.124332155+00:00")
    ]


def test_an_agents_status_is_one_word(con: sqlite3.Connection) -> None:
    sent = ["Starting", "Ready", "Busy", 'Error("a (b)")', "Stopping", "Stopped", {"Error": "x"}, f"Error({'x' * 300})"]
    add(con, "/api/v1/agents", {"agents": [{"agent_id": str(n), "status": each} for n, each in enumerate(sent)]})
    assert [word for (word,) in rows(con, "select status from agents order by agent_id")] == [
        *("starting", "idle", "busy", "error", "stopping", "stopped", "error", "error")
    ]
    assert rows(con, "select status_sent from agents where agent_id = '3'") == [('Error("a (b)")',)]


def test_a_random_task_of_activity_is_not_shown_and_a_true_one_is(con: sqlite3.Connection) -> None:
    for endpoint in (ACTIVITY, "/api/v1/agents"):
        add(con, endpoint, {"agents": [{"agent_id": "a", "current_task": "t", "status": "Busy"}]})
    assert rows(con, "select seen_in, current_task from agents order by 1") == [("activity", None), ("agents", "t")]


def test_the_captured_tasks_are_shown_without_what_they_put_out(con: sqlite3.Connection) -> None:
    add(con, TASKS, captured("noauth-active")[TASKS])
    found = rows(con, "select task_id, status, error, output_characters from agent_tasks order by status")
    output = "## Coordinator Summary\nstub plan\n\n## backend Agent\ndone: alpha task\n\nContext:\nctx\n\n"
    assert found[0] == ("5c962ded-aaf2-4300-ae4d-43b1f57cd36e", "completed", None, len(output))
    assert found[1] == (
        *("aa6b429f-4895-480c-b8e1-7403bf1db364", "failed"),
        *("Coordinator error: Task execution failed: Task execution failed", None),
    )
    assert found[2][1] == "partial"
    digest = hashlib.sha256(output.encode()).hexdigest()
    assert rows(con, "select output_sha256 from agent_tasks where status = 'completed'") == [(digest,)]


def test_a_task_is_followed_from_answer_to_answer(con: sqlite3.Connection) -> None:
    def task(name: str, status: Any) -> Any:
        return {"task_id": name, "status": status, "assigned_agent": "a", "output": None, "error": None}

    add(con, TASKS, {"tasks": [task("1", "pending")]}, 0)
    add(con, TASKS, {"tasks": [task("1", "in_progress"), task("2", "Pending")]}, 30)
    add(con, TASKS, {"tasks": [task("1", {"failed": "no worker"})]}, 60)
    add(con, TASKS, {"tasks": []}, 90)
    query = "select task_id, status, error, substr(polled_at, 18, 2), substr(until_at, 18, 2), "
    query += "substr(first_seen_at, 15, 5), substr(last_seen_at, 15, 5) from agent_tasks order by polled_ns, task_id"
    at = ["06:40", "07:10", "07:40"]
    assert rows(con, query) == [
        ("1", "pending", None, "40", "10", at[0], at[2]),
        ("1", "running", None, "10", "40", at[0], at[2]),
        ("2", "pending", None, "10", "40", at[1], at[1]),
        ("1", "failed", "no worker", "40", "10", at[0], at[2]),
    ]
    assert rows(con, "select status_sent from agent_tasks where status = 'failed'") == [('{"failed":"no worker"}',)]


def test_the_captured_workloads_are_shown(con: sqlite3.Connection) -> None:
    add(con, "/api/v1/workloads", captured("noauth-active")["/api/v1/workloads"])
    query = "select role, capabilities, max_tasks, success_rate, tasks_failed, total_tasks, pending_tasks "
    assert rows(con, query + "from agent_workloads order by role") == [
        ("backend", '["backend"]', 5, 1.0, 0, 3, 0),
        ("coordinator", '["coordinator"]', 5, 1.0, 0, 3, 0),
    ]


TOKENS = (
    "select agent_id, tokens_used, tokens_saved, saved_share, requests, input_tokens, output_tokens from agent_tokens "
)


def test_the_captured_tokens_are_those_of_each_agent_and_of_all(con: sqlite3.Connection) -> None:
    add(con, METRICS, captured("auth-active")[METRICS])
    (total, *agents) = rows(con, TOKENS + "order by agent_id")
    assert total == (None, 1057, 1, pytest.approx(1 / 1057), None, None, None)
    assert agents == [
        ("6cfc2619-da0e-4142-a61f-d76bc4ef76aa", 887, 0, 0.0, 5, 0, 887),
        ("d110e178-bb34-40e4-8339-4ce7ee2abe97", 170, 0, 0.0, 1, 0, 170),
    ]


def test_the_older_shape_with_a_summary_is_read_alike(con: sqlite3.Connection) -> None:
    totals = {"total_tokens_used": 150000, "total_tokens_saved": 45000, "compression_ratio": "30.0%"}
    agent = {"agent_id": "a", "total_input": 50000, "total_output": 10000, "total_context": 30000}
    counts = {"message_count": 100, "peak_context_size": 35000, "compression_savings": 15000}
    add(con, METRICS, {"success": True, "summary": {**totals, "on_track": True}, "agents": [{**agent, **counts}]})
    assert rows(con, TOKENS + "order by agent_id") == [
        (None, 150000, 45000, 0.3, None, None, None),
        ("a", 60000, 15000, 0.25, 100, 50000, 10000),
    ]


def test_the_flat_shape_is_read_alike(con: sqlite3.Connection) -> None:
    add(con, METRICS, {"total_tokens_used": 100, "total_tokens_saved": 36, "compression_ratio": 0.36})
    assert rows(con, TOKENS) == [(None, 100, 36, 0.36, None, None, None)]


@pytest.mark.parametrize("ratio", ["abc%", "", True, None, [1], {"a": 1}, "30"])
def test_a_share_that_is_none_is_unknown(con: sqlite3.Connection, ratio: Any) -> None:
    add(con, METRICS, {"total_tokens_used": 2**64, "total_tokens_saved": True, "compression_ratio": ratio})
    assert rows(con, TOKENS) == [(None, None, None, None, None, None, None)]


def test_advice_is_shown_by_agent(con: sqlite3.Connection) -> None:
    advice = {
        "agent_id": "a",
        "category": "verbosity",
        "severity": "medium",
        "message": "shorter",
        "potential_savings": 5,
    }
    add(con, "/api/v1/tokens/recommendations", {"success": True, "recommendations": [advice], "count": 1})
    query = "select agent_id, category, severity, message, potential_savings_tokens from agent_recommendations"
    assert rows(con, query) == [tuple(advice.values())]


@pytest.mark.parametrize("view", VIEWS)
def test_no_type_breaks_a_view_whatever_is_asked_of_it(con: sqlite3.Connection, view: str) -> None:
    bad: list[Any] = [None, True, 1, 1.5, "text", "{", [], [[]], {}, {"a": "b"}, [None, "x", 1, {"agent_id": [1]}]]
    lists = ("agents", "workers", "tasks", "recommendations", "summary")
    for endpoint in cca.ENDPOINTS:
        for value in bad:
            add_body(con, endpoint, json.dumps(value))
            add_body(con, endpoint, json.dumps(dict.fromkeys(lists, value)))
            for name in ("status", "agent_id", "task_id", "output", "error", "tokens_used", "total_tokens_used"):
                add_body(con, endpoint, json.dumps({**{key: [{name: value}] for key in lists}, name: value}))
        add_body(con, endpoint, "{not json")
        add_body(con, endpoint, None)
    for column in [each[0] for each in con.execute(f"select * from {view}").description]:
        con.execute(f"select * from {view} where {column} = 'x' or {column} > 5 order by {column}").fetchall()
    con.execute(f"select count(*) from {view}").fetchall()

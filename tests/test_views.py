"""The views people read: their names and columns, what counts, and what NULL means in them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ledger_rows import add_calls, add_name, add_source, make_ledger
from plain_costs import COST_VIEWS

from ccostdb.clock import parse_ns
from ccostdb.errors import BadArgument
from ccostdb.resources import sql, sql_names
from ccostdb.views import report_names, report_sql, view_names, view_statements

M = (
    "calls errors unpriced_calls unsplit_calls response_cache_hits input_tokens output_tokens cache_write_5m_tokens"
    " cache_write_1h_tokens cache_read_tokens total_tokens cost_usd uncached_cost_usd savings_usd"
)
COLUMNS = {
    "calls": "call_id occurred_at source provider model agent agent_id project session_id is_sidechain input_tokens"
    " output_tokens cache_write_5m_tokens cache_write_1h_tokens cache_read_tokens total_tokens latency_ms status"
    " is_response_cache_hit reported_cost_usd computed_cost_usd cost_usd uncached_cost_usd savings_usd occurred_ns",
    "activities": "activity_id timestamp occurred_at source event_type agent_name model tokens latency_ms status"
    " cost_usd occurred_ns",
    "gaps": "source kind from_at to_at missing_calls missing_cost_usd detected_at missing_events",
    "daemon_events": "event_id family kind profile timestamp occurred_at runtime payload source",
    "daemon_sessions": "session_id profile actor_id supervisor_id owner_kind lifecycle mode started_at"
    " start_count heartbeats last_heartbeat_at current_activity lease_expires_at takeovers prior_session_id"
    " prior_actor_id ended_at end_type end_reason source",
    "approvals": "event_id asked_at profile action_family decision policy_posture reason_code summary"
    " approval_request_id session_lifecycle session_mode project_id path source",
    "checkpoints": "event_id occurred_at profile type session_id actor_id title boundary_action"
    " boundary_summary recommended_next_command can_clear_session needs_full_handover requires_human_choice"
    " safe_clean_close drift_status context_band wrap_up_status blocking_escalations failed_checks git_branch"
    " git_head project_id path source",
    "compactions": "event_id occurred_at profile mode scope action governance_status requires_reconciler"
    " entry_type entry_id decay_class write_status file_action staged_outcome memory_file project_id path source",
    "context_health": "event_id occurred_at profile type session_id actor_id band is_throttled confidence"
    " recommendation context_used_pct degradation_risk_pct host_total_tokens host_context_window_tokens"
    " session_minutes is_compacted trigger urgency reason cost_status cost_model"
    " session_cumulative_cost_usd_estimate focus_item_cumulative_cost_usd_estimate session_warn_threshold_usd"
    " focus_item_warn_threshold_usd cost_alerts project_id path source",
    "rejects": "source at reason excerpt",
    "jobs": "job started_at seconds outcome detail",
    "source_counted": "source_id kind name counted",
    "source_health": "source kind address counted state outcome last_run_at last_event_at connections frames events"
    " rows rejected gaps missing_calls missing_cost_usd saturation error",
    "hourly_costs": f"hour {M}",
    "daily_costs": f"day {M} sessions latency_ms",
    "weekly_costs": f"week {M}",
    "monthly_costs": f"month {M} sessions latency_ms",
    "model_costs": f"model first_at last_at share {M}",
    "project_costs": f"project first_at last_at share {M}",
    "agent_costs": f"agent first_at last_at share {M}",
    "source_costs": f"source counted first_at last_at share {M}",
    "daily_model_costs": f"day model {M}",
    "daily_project_costs": f"day project {M}",
    "daily_agent_costs": f"day agent {M}",
    "monthly_model_costs": f"month model {M}",
    "session_costs": f"session_id project started_at ended_at models {M}",
    "cache_savings": "month source counted model cache_read_tokens cache_write_tokens prompt_cache_savings_usd"
    " response_cache_hits response_cache_savings_usd_estimate",
    "budgets": "budget period period_label limit_usd spent_usd left_usd used_share calls unpriced_calls limit_nusd"
    " spent_nusd",
    "samples": "sample_id source endpoint polled_at until_at body error polled_ns",
    "agents": "source polled_at until_at seen_in agent_id role status status_sent current_task last_activity polled_ns",
    "agent_tasks": "source polled_at until_at task_id status status_sent assigned_agent error output_characters"
    " output_sha256 first_seen_at last_seen_at polled_ns",
    "agent_workloads": "source polled_at until_at agent_id role capabilities current_tasks max_tasks tasks_completed"
    " tasks_failed success_rate avg_completion_time total_tasks pending_tasks polled_ns",
    "agent_tokens": "source polled_at until_at agent_id tokens_used tokens_saved saved_share requests input_tokens"
    " output_tokens context_tokens peak_context_tokens polled_ns",
    "agent_recommendations": "source polled_at until_at agent_id category severity message potential_savings_tokens"
    " polled_ns",
    "model_overrides": "source original_model override_to timestamp occurred_at",
    "cost_differences": "call_id occurred_at source model reported_cost_usd computed_cost_usd difference_usd",
}
ADDED_UP_BY_DAY = [name for name in sql_names("views") if " by day, source_id" in sql(f"views/{name}.sql")]
NOON = parse_ns("2026-08-12T12:00:00.558Z") or 0
SPLIT = {
    "input_tokens": 1,
    "output_tokens": 2,
    "cache_write_5m_tokens": 3,
    "cache_write_1h_tokens": 4,
    "cache_read_tokens": 5,
    "total_tokens": 15,
}


@pytest.fixture
def con(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """An empty ledger whose rows are read by column name."""
    made = make_ledger(tmp_path / "ledger.db")
    made.row_factory = sqlite3.Row
    yield made
    made.close()


def call(number: int, source_id: int, **facts: Any) -> dict[str, Any]:
    """A call a minute after the last."""
    return {"call_id": f"call {number}", "source_id": source_id, "occurred_ns": NOON + number * 60 * 10**9, **facts}


def rows(con: sqlite3.Connection, view: str) -> list[dict[str, Any]]:
    return [dict(row) for row in con.execute(f"select * from {view}")]


def one(con: sqlite3.Connection, view: str) -> dict[str, Any]:
    (row,) = rows(con, view)
    return row


@pytest.mark.parametrize("view", COLUMNS)
def test_the_columns_of_a_public_view_are_these_in_this_order(con: sqlite3.Connection, view: str) -> None:
    assert [column[0] for column in con.execute(f"select * from {view}").description] == COLUMNS[view].split()


def test_there_are_no_views_but_the_public_ones_and_the_two_they_read() -> None:
    assert sorted(view_names()) == sorted([*COLUMNS, "daily_usage", "hourly_usage"])


@pytest.mark.parametrize("file", [f"{at}/{name}.sql" for at in ("views", "rollups") for name in sql_names(at)])
def test_every_file_begins_with_what_one_row_is_and_what_null_means(file: str) -> None:
    comment = sql(file).split("\nselect")[0].split("\nwith")[0]
    assert comment.startswith("-- ")
    if file.startswith("views/"):
        assert comment.startswith("-- One row is ")
        assert "NULL" in comment


def test_no_placeholder_is_left_in_a_statement_and_each_view_comes_after_those_it_reads() -> None:
    seen: list[str] = []
    for name, create in view_statements():
        assert "{{" not in create
        assert not [other for other in view_names() if f"from {other}\n" in create and other not in seen]
        seen.append(name)


@pytest.mark.parametrize(
    "view", [name for name in sql_names("views") if " by day, source_id" in sql(f"views/{name}.sql")]
)
def test_cells_that_are_added_up_by_the_start_of_a_key_are_not_sorted(con: sqlite3.Connection, view: str) -> None:
    steps = con.execute(f"explain query plan select * from {view}").fetchall()
    scan = next(step for step in steps if step["detail"].startswith("SCAN rollup_day"))
    assert [step["detail"] for step in steps if step["parent"] == scan["parent"] and "B-TREE" in step["detail"]] == []


def test_quarter_hours_are_added_up_in_the_order_of_time(con: sqlite3.Connection) -> None:
    steps = con.execute("explain query plan select * from hourly_costs").fetchall()
    (scan,) = [step for step in steps if step["detail"].startswith("SCAN calendar")]
    assert [step["detail"] for step in steps if step["parent"] == scan["parent"] and "B-TREE" in step["detail"]] == []


def test_an_empty_ledger_has_empty_views(con: sqlite3.Connection) -> None:
    assert {view: rows(con, view) for view in view_names()} == {view: [] for view in view_names()}


def test_a_call_is_shown_with_names_and_dollars(con: sqlite3.Connection) -> None:
    source = add_source(con, "claude-code", "mine")
    model = add_name(con, "model", "claude-sonnet-4-5")
    con.execute("update model set provider = 'anthropic'")
    facts = {"model_id": model, "agent_id": add_name(con, "agent", "Explore"), "agent_instance": "a1"}
    facts |= {"project_id": add_name(con, "project", "/p"), "session_id": add_name(con, "session", "s")}
    money = {"reported_nusd": 123_456_789, "computed_nusd": 1_000_000_001, "uncached_nusd": 3_000_000_000}
    add_calls(con, [call(0, source, is_sidechain=1, latency_ms=9, status="success", **facts, **money, **SPLIT)])
    shown = one(con, "calls")
    assert shown == {
        "call_id": "call 0",
        "occurred_at": "2026-08-12T12:00:00.558Z",
        "source": "mine",
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "agent": "Explore",
        "agent_id": "a1",
        "project": "/p",
        "session_id": "s",
        "is_sidechain": 1,
        **SPLIT,
        "latency_ms": 9,
        "status": "success",
        "is_response_cache_hit": 0,
        "reported_cost_usd": 0.123456789,
        "computed_cost_usd": 1.000000001,
        "cost_usd": 0.123456789,
        "uncached_cost_usd": 3.0,
        "savings_usd": 1.999999999,
        "occurred_ns": NOON,
    }


def test_what_a_call_does_not_say_is_null_in_every_view_and_never_0(con: sqlite3.Connection) -> None:
    add_calls(con, [call(0, add_source(con, "cco"))])
    unknown = set(M.split()[5:])
    assert {name for name, value in one(con, "daily_costs").items() if value is None} == {
        *unknown,
        "sessions",
        "latency_ms",
    }
    for view in ("model", "project", "agent"):
        assert {name for name, value in one(con, f"{view}_costs").items() if value is None} == {*unknown, view, "share"}
    unknown |= {"session_id", "project", "models"}
    assert {name for name, value in one(con, "session_costs").items() if value is None} == unknown


def test_a_sum_is_null_only_where_every_call_is_unknown(con: sqlite3.Connection) -> None:
    source = add_source(con, "cco")
    add_calls(con, [call(0, source, total_tokens=7), call(1, source, computed_nusd=5, **SPLIT)])
    day = one(con, "daily_costs")
    assert (day["calls"], day["unpriced_calls"], day["unsplit_calls"]) == (2, 1, 1)
    assert (day["input_tokens"], day["total_tokens"], day["cost_usd"]) == (1, 22, 5e-9)
    assert (day["uncached_cost_usd"], day["savings_usd"]) == (None, None)


def test_cco_counts_until_claude_code_has_calls_unless_it_is_set(con: sqlite3.Connection) -> None:
    cco = add_source(con, "cco")
    add_calls(con, [call(0, cco, reported_nusd=10**9)])
    assert one(con, "daily_costs")["cost_usd"] == 1.0
    transcripts = add_source(con, "claude-code")
    con.execute("update source set has_calls = 0 where source_id = ?", (transcripts,))
    assert one(con, "daily_costs")["cost_usd"] == 1.0
    con.execute("update source set has_calls = 1 where source_id = ?", (transcripts,))
    add_calls(con, [call(1, transcripts, computed_nusd=2 * 10**9)])
    assert one(con, "daily_costs")["cost_usd"] == 2.0
    shown = {row["source"]: (row["counted"], row["cost_usd"], row["share"]) for row in rows(con, "source_costs")}
    assert shown == {"cco": (0, 1.0, None), "claude-code": (1, 2.0, 1.0)}
    con.execute("update source set counted_setting = 1 where source_id = ?", (cco,))
    assert one(con, "daily_costs")["cost_usd"] == 3.0
    con.execute("update source set counted_setting = 0")
    assert rows(con, "daily_costs") == []


def test_a_session_has_the_project_of_its_first_call_and_its_models_in_order(con: sqlite3.Connection) -> None:
    source = add_source(con, "claude-code")
    session = add_name(con, "session", "s")
    projects = [add_name(con, "project", name) for name in ("/b", "/a", "/c")]
    models = [add_name(con, "model", name) for name in ("m2", "m3", "m1")]
    places = [(projects[1], models[0]), (projects[0], models[1]), (projects[2], models[2]), (projects[1], models[0])]
    add_calls(
        con,
        [
            call(number, source, session_id=session, project_id=project, model_id=model)
            for number, (project, model) in enumerate(places)
        ],
    )
    shown = one(con, "session_costs")
    assert (shown["session_id"], shown["project"], shown["models"]) == ("s", "/a", "m1, m2, m3")
    assert (shown["started_at"], shown["ended_at"]) == ("2026-08-12T12:00:00.558Z", "2026-08-12T12:03:00.558Z")


def test_prompt_and_response_caching_are_never_mixed(con: sqlite3.Connection) -> None:
    cco, transcripts = add_source(con, "cco"), add_source(con, "claude-code")
    model = add_name(con, "model", "m")
    hit = {"is_response_cache_hit": 1, "reported_nusd": 0}
    add_calls(
        con,
        [
            call(0, cco, model_id=model, total_tokens=1000, reported_nusd=5_000_000),
            call(1, cco, model_id=model, total_tokens=300, **hit),
            call(2, transcripts, model_id=model, computed_nusd=900, uncached_nusd=700, **SPLIT),
        ],
    )
    saved = {row["source"]: tuple(row.values())[4:] for row in rows(con, "cache_savings")}
    assert saved == {"cco": (None, None, None, 1, 0.0015), "claude-code": (5, 7, -2e-7, 0, 0.0)}
    assert [row["cost_usd"] for row in rows(con, "calls")][1] == 0.0


def test_a_hit_that_nothing_tells_the_price_of_has_no_estimate(con: sqlite3.Connection) -> None:
    add_calls(con, [call(0, add_source(con, "cco"), is_response_cache_hit=1, reported_nusd=0, total_tokens=300)])
    assert one(con, "cache_savings")["response_cache_savings_usd_estimate"] is None


def test_a_cost_difference_is_a_call_with_two_costs_that_differ(con: sqlite3.Connection) -> None:
    source = add_source(con, "claude-code")
    costs = [(5, 5), (None, 5), (5, None), (7, 5)]
    add_calls(con, [call(n, source, reported_nusd=r, computed_nusd=c) for n, (r, c) in enumerate(costs)])
    shown = one(con, "cost_differences")
    assert (shown["call_id"], shown["model"], shown["difference_usd"]) == ("call 3", None, 2e-9)
    (plan,) = con.execute("explain query plan select * from cost_differences").fetchall()[:1]
    assert "call_with_two_costs" in plan["detail"]


def test_activities_gaps_and_rejects_are_shown_as_they_are(con: sqlite3.Connection) -> None:
    source = add_source(con, "cco")
    con.execute(
        "insert into activity (source_id, epoch, seq, timestamp, occurred_ns, event_type, tokens, cost_nusd)"
        " values (?, 1, 1, 'yesterday', ?, 'model_override', null, 1500)",
        (source, NOON),
    )
    event = one(con, "activities")
    assert (event["timestamp"], event["occurred_at"]) == ("yesterday", "2026-08-12T12:00:00.558Z")
    assert (event["source"], event["event_type"], event["tokens"], event["cost_usd"]) == (
        "cco",
        "model_override",
        None,
        1.5e-6,
    )
    gap = "insert into gap (source_id, epoch, kind, from_ns, to_ns, calls, cost_nusd, detected_ns)"
    con.execute(f"{gap} values (?, 1, 'restart', null, ?, null, null, ?)", (source, NOON, NOON))
    missing = one(con, "gaps")
    assert (missing["kind"], missing["from_at"], missing["to_at"]) == ("restart", None, "2026-08-12T12:00:00.558Z")
    assert (missing["missing_calls"], missing["missing_cost_usd"]) == (None, None)
    con.execute("insert into rejected (source_id, at_ns, reason) values (?, ?, 'not JSON')", (source, NOON))
    assert tuple(one(con, "rejects").values()) == ("cco", "2026-08-12T12:00:00.558Z", "not JSON", None)


def test_source_health_adds_up_all_runs_and_says_how_the_last_one_went(con: sqlite3.Connection) -> None:
    source = add_source(con, "cco")
    fresh = one(con, "source_health")
    assert (fresh["state"], fresh["last_run_at"], fresh["frames"], fresh["gaps"], fresh["missing_calls"]) == (
        None,
        None,
        0,
        0,
        0,
    )
    run = "insert into run (source_id, started_ns, updated_ns, outcome, state, frames, rejected, saturation, error)"
    con.execute(f"{run} values (?, ?, 0, 'failed', 'error', 3, 1, 1.0, 'gone')", (source, NOON))
    con.execute(f"{run} values (?, ?, 0, null, 'connected', 4, 1, 0.5, null)", (source, NOON + 10**9))
    gap = "insert into gap (source_id, epoch, kind, to_ns, calls, cost_nusd, detected_ns) values (?, 1, ?, 0, ?, ?, 0)"
    con.execute(gap, (source, "restart", None, None))
    assert one(con, "source_health")["missing_calls"] is None
    con.execute(gap, (source, "overflow", 3, 30))
    health = one(con, "source_health")
    assert (health["state"], health["outcome"], health["saturation"], health["error"]) == ("connected", None, 0.5, None)
    assert (health["frames"], health["rejected"], health["last_run_at"]) == (7, 2, "2026-08-12T12:00:01.558Z")
    assert (health["gaps"], health["missing_calls"], health["missing_cost_usd"]) == (2, 3, 3e-8)


def test_a_report_has_the_columns_of_its_view(con: sqlite3.Connection) -> None:
    assert sorted(report_names()) == sorted(COST_VIEWS)
    for view in report_names():
        shown = con.execute(*report_sql(view, since_day="2026-01-01", cost="computed", source="cco")).description
        assert [column[0] for column in shown] == COLUMNS[view].split()


@pytest.mark.parametrize("view", ["calls", "daily_usage", "no_such_view", "../migrations/0001_ledger"])
def test_what_is_no_cost_view_is_no_report(view: str) -> None:
    with pytest.raises(BadArgument, match="no report of costs"):
        report_sql(view)


def test_an_unknown_kind_of_cost_is_refused() -> None:
    with pytest.raises(BadArgument, match="no kind of cost"):
        report_sql("daily_costs", cost="free")

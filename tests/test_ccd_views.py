"""The views over daemon events: from the real captures, from a story, and whatever a payload holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ccd_emulator import event
from ccd_recording import Recording, lines, recording

from ccostdb.resources import sql

DATA = Path(__file__).parent / "data" / "ccd"
VIEWS = ("daemon_events", "daemon_sessions", "approvals", "checkpoints", "compactions", "context_health")
KINDS = (
    *("start_session", "heartbeat_session", "takeover_session", "clear_session", "policy_check", "compact_memory"),
    *("evaluate_checkpoint", "evaluate_closeout", "evaluate_context_refresh", "forecast"),
)


@pytest.fixture
def ccd(tmp_path: Path) -> Iterator[Recording]:
    with recording(tmp_path) as one:
        yield one


@pytest.fixture
def captured(ccd: Recording) -> Recording:
    """What beta.5 of the real daemon sent."""
    found = (DATA / "beta5-events.sse").read_text(encoding="utf-8").split("\n")
    ccd.file.write_text("".join(f"{line[6:]}\n" for line in found if line.startswith("data: ")), encoding="utf-8")
    ccd.record(path=ccd.file)
    return ccd


def tell(ccd: Recording, *events: dict[str, Any]) -> None:
    ccd.file.write_text(lines(events))
    ccd.record(path=ccd.file)


def story(number: int, kind: str, profile: str | None = "main", **payload: Any) -> dict[str, Any]:
    return event(number, kind=kind, profile=profile, payload={"path": "/p/state.db", **payload})


def objects(ccd: Recording, view: str, *names: str) -> list[tuple[Any, ...]]:
    """Some columns of a view, whose name may be followed by an order."""
    return ccd.rows(f"select {', '.join(names)} from {view}")


def test_daemon_events_has_the_columns_that_were_promised(captured: Recording) -> None:
    names = [row[1] for row in captured.rows("pragma table_info(daemon_events)")]
    assert names == [
        *("event_id", "family", "kind", "profile", "timestamp", "occurred_at", "runtime", "payload", "source"),
    ]
    first = captured.rows("select timestamp, occurred_at from daemon_events")[0]
    assert first == ("2026-11-21T04:59:14.711171344Z", "2026-11-21T04:59:14.711Z")


def test_sessions_of_the_real_daemon_have_their_start_heartbeat_takeover_and_end(captured: Recording) -> None:
    names = ("actor_id", "owner_kind", "lifecycle", "mode", "started_at", "start_count", "heartbeats", "takeovers")
    assert objects(captured, "daemon_sessions", *names) == [
        ("interactive", "interactive", "interactive", "implement", "2026-11-21T04:57:21.000Z", 5, 0, 0),
        ("worker-1", "runtime_worker", "autonomous", "general", "2026-11-21T04:59:14.000Z", 1, 1, 0),
        ("sup-1", None, None, None, "2026-11-21T04:59:18.949Z", None, 0, 1),
    ]
    times = ("last_heartbeat_at", "lease_expires_at", "prior_actor_id", "ended_at", "end_type", "end_reason")
    assert objects(captured, "daemon_sessions", *times) == [
        (None, None, None, "2026-11-21T04:59:14.912Z", "clear", "done"),
        (
            *("2026-11-21T04:59:14.000Z", "2026-11-21T04:59:16.000Z", None),
            *("2026-11-21T04:59:18.949Z", "takeover", "worker silent"),
        ),
        (
            *("2026-11-21T04:59:18.000Z", "2026-11-21T04:59:20.000Z", "worker-1"),
            *("2026-11-21T04:59:18.961Z", "clear", "end"),
        ),
    ]
    ids = objects(captured, "daemon_sessions", "session_id", "prior_session_id")
    assert ids[2][1] == ids[1][0]
    assert "Grüße" in captured.rows("select current_activity from daemon_sessions")[1][0]


def test_approvals_of_the_real_daemon_say_what_was_asked_and_decided(captured: Recording) -> None:
    names = ("action_family", "decision", "policy_posture", "reason_code", "approval_request_id")
    posture = "guarded_local_execution"
    rows = objects(captured, "approvals", *names)
    assert rows[:2] == [
        ("publish_external", "approval_required", posture, "publish_requires_approval", "apr-7"),
        ("repair_destructive", "deny", posture, "repair_destructive_denied", None),
    ]
    assert [row[1] for row in rows[2:]] == ["escalation_required"]


def test_checkpoints_and_compactions_of_the_real_daemon(captured: Recording) -> None:
    names = ("type", "title", "boundary_action", "needs_full_handover", "drift_status", "wrap_up_status", "git_branch")
    assert objects(captured, "checkpoints", *names) == [
        ("checkpoint", "Build the widget", "stop", 1, "needs_recalibration", None, "main"),
        ("closeout", "Build the widget", "stop", 1, "needs_recalibration", "needs_review", "main"),
    ]
    names = ("mode", "scope", "action", "governance_status", "entry_type", "decay_class", "file_action")
    assert objects(captured, "compactions", *names) == [
        (
            *("decay_class_backfill_write", "workspace", "stage_narrowing", "allowed", "rule", "stable"),
            "rewrite_blocks",
        )
    ]


def test_context_health_of_the_real_daemon_and_a_throttled_check_measures_nothing(captured: Recording) -> None:
    names = (
        *("type", "is_throttled", "band", "cost_status", "session_cumulative_cost_usd_estimate"),
        *("focus_item_cumulative_cost_usd_estimate", "session_warn_threshold_usd", "cost_alerts", "host_total_tokens"),
    )
    measured = (0, "low", "estimated", 0.033645, 0.033645, 0.01, 1, 2010)
    assert objects(captured, "context_health order by occurred_at", *names) == [
        ("context check", *measured),
        ("context check", *measured),
        ("context check", 1, None, "throttled", None, None, None, 0, None),
        ("context check", *measured),
        ("checkpoint", *measured),
        ("closeout", *measured),
    ]


def test_an_estimate_is_in_no_total(captured: Recording) -> None:
    assert captured.one("select count(*) from call") == 0
    assert captured.rows("select cost_usd from source_costs") == []


def test_the_sample_without_details_is_shown_with_what_it_says(ccd: Recording) -> None:
    ccd.record(path=DATA / "daemon-events.ndjson")
    counts = [ccd.one(f"select count(*) from {view}") for view in VIEWS]
    assert counts == [11, 1, 2, 2, 1, 1]
    assert objects(ccd, "approvals", "decision") == [("approval_required",), (None,)]
    assert objects(ccd, "daemon_sessions", "session_id", "started_at") == [("ses_01", "2026-11-20T09:00:00.000Z")]


def test_a_time_without_a_connection_is_no_restart_and_no_missing_call(ccd: Recording) -> None:
    for _ in range(2):
        ccd.record(lambda: ccd.wait_for(lambda: ccd.rows("select 1 from run where state = 'connected'")))
    assert ccd.one("select count(*) from gap") == 1
    nothing = {"since_ns": None, "until_ns": None, "source": None}
    assert ccd.rows(sql("queries/missing.sql"), nothing) == [(None, None, 0)]


# --- sessions


def test_a_clear_ends_the_session_that_spoke_last_for_its_profile_file_and_actor(ccd: Recording) -> None:
    tell(
        ccd,
        story(1, "start_session", session_id="a", actor_id="me"),
        story(2, "start_session", session_id="b", actor_id="you"),
        story(3, "start_session", "other", session_id="c", actor_id="me"),
        story(4, "start_session", session_id="d", actor_id="me") | {"payload": {"session_id": "d", "actor_id": "me"}},
        story(5, "clear_session", actor_id="me", cleared=False, reason="not it"),
        story(6, "clear_session", actor_id="me", cleared=True, reason="done"),
        story(7, "clear_session", actor_id="me", cleared=True, reason="again"),
        story(8, "start_session", session_id="e", actor_id="me"),
    )
    ended = ccd.rows("select session_id, end_type, end_reason from daemon_sessions where ended_at is not null")
    assert ended == [("a", "clear", "done")]
    assert ccd.one("select count(*) from daemon_sessions") == 5


def test_events_that_arrive_late_are_taken_in_their_own_order(ccd: Recording) -> None:
    tell(
        ccd,
        story(5, "clear_session", actor_id="me", cleared=True, reason="done"),
        story(4, "heartbeat_session", session_id="a", actor_id="me", current_activity="last"),
        story(3, "heartbeat_session", session_id="a", actor_id="me"),
        story(2, "heartbeat_session", session_id="a", actor_id="me", current_activity="first"),
        story(1, "start_session", session_id="a", actor_id="me", start_count=1),
        story(6, "start_session", session_id="b", actor_id="me"),
    )
    names = ("session_id", "started_at", "heartbeats", "current_activity", "end_reason")
    assert objects(ccd, "daemon_sessions", *names) == [
        ("a", "2026-11-21T04:00:01.934Z", 3, "last", "done"),
        ("b", "2026-11-21T04:00:06.934Z", 0, None, None),
    ]


def test_a_session_that_spoke_again_after_its_end_has_none_until_it_ends_again(ccd: Recording) -> None:
    told = [
        story(1, "start_session", session_id="a", actor_id="me"),
        story(2, "clear_session", actor_id="me", cleared=True, reason="done"),
        story(3, "start_session", session_id="b", actor_id="you"),
        story(4, "takeover_session", session_id="c", actor_id="she", prior_session_id="b", reason="silent"),
    ]
    tell(ccd, *told)
    ends = "select session_id, end_reason from daemon_sessions where ended_at is not null or end_type is not null"
    assert ccd.rows(ends) == [("a", "done"), ("b", "silent")]
    told += [
        story(5, "start_session", session_id="a", actor_id="me"),
        story(6, "heartbeat_session", session_id="b", actor_id="you"),
    ]
    tell(ccd, *told)
    assert ccd.rows(ends) == []
    tell(ccd, *told, story(7, "clear_session", actor_id="me", cleared=True, reason="again"))
    assert ccd.rows(ends) == [("a", "again")]


def test_a_session_id_in_two_profiles_or_none_is_as_many_sessions(ccd: Recording) -> None:
    profiles = ("main", "other", None)
    tell(ccd, *(story(each, "start_session", profile, session_id="a") for each, profile in enumerate(profiles)))
    found = objects(ccd, "daemon_sessions", "profile", "started_at is not null")
    assert sorted(found, key=str) == [("main", 1), ("other", 1), (None, 1)]


# --- anything


PAYLOADS: list[Any] = [
    *(None, True, 5, "text", [], [1], {}, {"session_id": 5}, {"session_id": {"a": 1}}, {"session_id": "a"}),
    {"session_id": "a", "started_at_epoch_s": "soon", "lease_expires_at_epoch_s": 2**80, "start_count": "many"},
    {"session_id": "a", "last_heartbeat_at_epoch_s": [1], "current_activity": {"a": 1}, "cleared": "yes"},
    {"cleared": True, "prior_session_id": 7, "context_health": "low"},
    {"context_health": {"cost": [1], "band": 5}, "throttle": True},
    {"context_health": {"cost": {"session_estimate_usd": "much", "alerts": "a"}}, "throttle": {"suppressed": "no"}},
    {"context_health": {"cost": {"session_estimate_usd": 10**400 + 1, "alerts": 5}}, "decisions": None},
]


def test_no_payload_breaks_a_view(ccd: Recording) -> None:
    told = [
        event(1000 * number + index, kind=kind, payload=payload, runtime=payload)
        for number, kind in enumerate(KINDS)
        for index, payload in enumerate(PAYLOADS)
    ]
    unsent = [
        {name: each[name] for name in ("event_id", "family", "kind")}
        for each in (event(90_000 + number, kind=kind) for number, kind in enumerate(KINDS))
    ]
    deep = '{"event_id":"D","family":"f","kind":"policy_check","payload":' + "[" * 800 + "]" * 800 + "}\n"
    odd = (
        '{"event_id":"O","family":"f","kind":"start_session","payload":{"session_id":"\\ud800","start_count":1e999}}\n'
    )
    ccd.file.write_text(lines([*told, *unsent]) + deep + odd)
    ccd.record(path=ccd.file)
    assert ccd.one("select count(*) from daemon_events") == len(told) + len(unsent) + 2
    for view in VIEWS:
        assert ccd.rows(f"select * from {view}")
    assert ccd.one("select count(*) from daemon_events where json_valid(ifnull(payload, '1'))") == len(ccd.ids)
    estimates = ccd.rows("select distinct typeof(session_cumulative_cost_usd_estimate) from context_health")
    assert set(estimates) <= {("null",), ("real",), ("integer",)}


def test_what_a_shortened_payload_still_says_is_shown(ccd: Recording) -> None:
    payload = {"session_id": "a", "actor_id": "me", "memory": "secret " * 20_000, "current_activity": "x"}
    tell(ccd, event(1, payload=payload))
    assert ccd.one("select is_shortened from daemon_event") == 1
    assert objects(ccd, "daemon_sessions", "session_id", "current_activity") == [("a", "x")]
    assert "secret" not in json.dumps(ccd.rows("select payload from daemon_events"))

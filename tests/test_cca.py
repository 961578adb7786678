"""What one of CCA's answers means: real captures, noise, errors, and what is never stored."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
from typing import Any

import pytest
from cca_emulator import captured

from ccostdb.errors import Rejected
from ccostdb.model import Sample
from ccostdb.sources import cca
from ccostdb.sources.polling import Answer

AT_NS = 1_795_000_000_000_000_000
TASKS, ACTIVITY = "/api/v1/tasks", "/api/v1/activity"


def sample(endpoint: str, value: Any, status: int = 200, api_key: str | None = None, max_bytes: int = 65_536) -> Sample:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return cca.parse(endpoint, status, raw, AT_NS, max_bytes, api_key=api_key)


def body(endpoint: str, value: Any) -> Any:
    return json.loads(sample(endpoint, value).body or "null")


def meaning(endpoint: str, value: Any) -> bytes:
    one = sample(endpoint, value)
    return cca.meaning(endpoint, one.body, one.error)


def shuffled(value: Any, chance: random.Random) -> Any:
    """The same from a server whose hash maps have another seed."""
    if isinstance(value, dict):
        pairs = [(key, shuffled(one, chance)) for key, one in value.items()]
        return dict(chance.sample(pairs, len(pairs)))
    return [shuffled(one, chance) for one in chance.sample(value, len(value))] if isinstance(value, list) else value


@pytest.mark.parametrize("capture", ["auth-active", "noauth-active", "nodb-idle"])
def test_every_captured_answer_is_data_and_says_what_it_said(capture: str) -> None:
    answers = captured(capture)
    assert set(answers) == set(cca.ENDPOINTS)
    for endpoint, raw in answers.items():
        one = sample(endpoint, raw)
        assert one.error is None
        if endpoint != TASKS:
            order = random.Random(1)
            assert body(endpoint, shuffled(json.loads(raw), order)) == body(endpoint, raw)
            assert sorted(json.dumps(json.loads(raw))) == sorted(json.dumps(json.loads(one.body or "")))


@pytest.mark.parametrize("capture", ["auth-active", "noauth-active", "nodb-idle"])
def test_another_order_of_the_same_says_nothing_new(capture: str) -> None:
    chance = random.Random(2)
    for endpoint, raw in captured(capture).items():
        assert meaning(endpoint, raw) == meaning(endpoint, shuffled(json.loads(raw), chance))


def test_a_fresh_random_task_says_nothing_new_but_having_one_does() -> None:
    def activity(task: str | None, at: str = "2026-11-21T05:04:44Z") -> Any:
        return {"agents": [{"agent_id": "a", "current_task": task, "last_activity": at, "status": "busy"}]}

    assert meaning(ACTIVITY, activity("id 1")) == meaning(ACTIVITY, activity("id 2"))
    assert meaning(ACTIVITY, activity("id 1")) != meaning(ACTIVITY, activity(None))
    assert meaning(ACTIVITY, activity("id 1")) != meaning(ACTIVITY, activity("id 1", "2026-11-21T05:05:00Z"))
    assert body(ACTIVITY, activity("id 1")) == activity("id 1")


def test_uptimes_say_nothing_new_and_are_kept() -> None:
    def status(seconds: int, window: str = "w1") -> Any:
        return {"status": "running", "tmux": {"auto_spawned_agents": [{"uptime_secs": seconds, "window": window}]}}

    assert meaning("/api/v1/status", status(5)) == meaning("/api/v1/status", status(35))
    assert meaning("/api/v1/status", status(5)) != meaning("/api/v1/status", status(5, "w2"))
    assert body("/api/v1/status", status(5)) == status(5)


def test_what_changes_is_new() -> None:
    tasks = json.loads(captured("auth-active")[TASKS])
    before = meaning(TASKS, tasks)
    tasks["tasks"][0]["status"] = "failed"
    assert meaning(TASKS, tasks) != before


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"error": "Indexing service not available", "success": False}, "Indexing service not available"),
        ({"error": "Invalid agent ID: x"}, "Invalid agent ID: x"),
        ({"error": {"code": 5, "message": "gone"}}, "gone"),
        ({"success": False}, "it says only that it failed"),
        ({"error": "red \x1b[31m"}, "red �[31m"),
    ],
)
def test_a_200_that_says_an_error_is_no_data(said: Any, error: str) -> None:
    assert sample(TASKS, said) == Sample(TASKS, AT_NS, None, error)


def test_no_connection_to_a_database_is_a_state_and_no_error() -> None:
    said = {"connected": False, "error": "Redis not available"}
    assert body("/api/v1/redis/status", said) == said
    assert sample("/api/v1/redis/status", {"error": "x"}).error == "x"


@pytest.mark.parametrize(
    ("status", "raw", "error"),
    [
        (401, b"Unauthorized: valid API key required", "HTTP 401"),
        (404, b"", "HTTP 404"),
        (302, b"<html>", "HTTP 302"),
        (503, b'{"error":"Redis is away"}', "HTTP 503: Redis is away"),
        (500, b"[" * 100_000, "HTTP 500"),
    ],
)
def test_another_status_is_an_error(status: int, raw: bytes, error: str) -> None:
    assert sample(TASKS, raw, status) == Sample(TASKS, AT_NS, None, error)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"tasks":[', "no readable JSON"),
        (b"", "no readable JSON"),
        (b"\xff\xfe", "no readable JSON"),
        (b"<html>", "no readable JSON"),
        (b"[1]", "the document is no object"),
        (b"null", "the document is no object"),
        (b'{"a":' * 100_000, "JSON that is nested too deeply"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "JSON that is nested too deeply"),
        (None, "larger than may be read"),
    ],
)
def test_what_is_no_document_is_refused_and_nothing_of_it_repeated(raw: bytes | None, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        cca.parse(TASKS, 200, raw, AT_NS, 65_536)
    assert (caught.value.reason, caught.value.excerpt) == (f"{TASKS}: {reason}", None)


def test_numbers_that_no_column_holds_become_their_text() -> None:
    said = b'{"a":18446744073709551615,"b":NaN,"c":-Infinity,"d":1e999,"e":-9223372036854775808,"f":0.36,"g":%s}'
    one = sample("/api/v1/rl/stats", said % (b"9" * 5000)).body or ""
    assert json.loads(one, parse_constant=lambda _: pytest.fail("a constant")) == {
        "a": "18446744073709551615",
        "b": "NaN",
        "c": "-Infinity",
        "d": "1e999",
        "e": -(2**63),
        "f": 0.36,
        "g": {"characters": 5000, "sha256": hashlib.sha256(b"9" * 5000).hexdigest()},
    }


def test_texts_that_sqlite_could_not_give_back_are_mended() -> None:
    one = sample("/api/v1/agents", b'{"agents":[{"role":"a\\ud800b\\u0000c","\\udfff":1}]}').body or ""
    con = sqlite3.connect(":memory:")
    assert con.execute("select ? ->> '$.agents[0].role'", (one,)).fetchone() == ("a�b�c",)


def test_no_output_of_a_task_is_kept_and_no_long_text() -> None:
    long = "word " * 50
    task = {"task_id": "t", "output": "short", "error": long, "status": {"failed": long}, "description": "do it"}
    (kept,) = body(TASKS, {"tasks": [task]})["tasks"]
    assert kept["output"] == {"characters": 5, "sha256": hashlib.sha256(b"short").hexdigest()}
    assert kept["error"] == kept["status"]["failed"]
    assert kept["error"] == {"characters": 250, "sha256": hashlib.sha256(long.encode()).hexdigest()}
    assert kept["description"]["characters"] == 5
    assert body(TASKS, {"tasks": [{"output": {"text": ["said"], "tokens": 3}}]})["tasks"] == [
        {"output": {"text": [{"characters": 4, "sha256": hashlib.sha256(b"said").hexdigest()}], "tokens": 3}}
    ]
    assert body(TASKS, {long: 1}) == {hashlib.sha256(long.encode()).hexdigest(): 1}
    assert body(TASKS, {"tasks": [{"output": None}]})["tasks"] == [{"output": None}]
    for raw in captured("auth-active").values():
        assert "Coordinator Summary" not in (sample(TASKS, raw).body or "")


def test_a_long_error_of_an_agent_keeps_its_name() -> None:
    (kept,) = body("/api/v1/agents", {"agents": [{"status": f'Error("{"x" * 300}")'}]})["agents"]
    assert list(kept["status"]) == ["Error"]
    assert kept["status"]["Error"]["characters"] == 309


def test_a_key_that_an_answer_repeats_is_struck_out() -> None:
    key = "secret-key-1"
    one = sample("/api/v1/status", {"a": f"x {key}", key: {"b": [key]}}, api_key=key)
    assert one.body == '{"[key]":{"b":["[key]"]},"a":"x [key]"}'
    assert sample(TASKS, {"error": f"bad {key}"}, api_key=key).error == "bad [key]"


@pytest.mark.parametrize(
    ("header", "said", "seconds"),
    [
        ("1", {"retry_after_seconds": 9}, 1.0),
        (None, {"retry_after_seconds": 9}, 9.0),
        ("soon", {"retry_after_seconds": 9}, 9.0),
        ("Sat, 21 Nov 2026 05:06:26 GMT", {}, 26.0),
        ("Sat, 21 Nov 2026 05:05:26 GMT", {}, 0.1),
        (None, {"retry_after_seconds": True}, 1.0),
        (None, [], 1.0),
        ("1e999", {}, 1.0),
        ("-5", {"retry_after_seconds": "7"}, 7.0),
        ("99999999", {}, 3600.0),
    ],
)
def test_how_long_to_wait_is_read_from_the_header_or_the_body(header: str | None, said: Any, seconds: float) -> None:
    now_s = 1795237560.0  # 2026-11-21T05:06:00Z
    assert cca.retry_after_s(Answer(429, json.dumps(said).encode(), header), now_s) == seconds
    assert cca.retry_after_s(Answer(200, b"{}", header), now_s) is None


def test_only_ccas_health_is_taken_for_it() -> None:
    real = captured("nodb-idle")["/health"]
    assert cca.is_health(Answer(200, real))
    assert not cca.is_health(Answer(404, real))
    assert cca.is_health(Answer(200, b'{"status":"healthy","services":{"redis":true,"postgres":true,"acp":true}}'))
    cco = b'{"status":"ok","version":"2025.11.2","cache_stats":{"hit_rate":0,"hits":0},"uptime":3}'
    for other in (
        cco,
        b"",
        b"[]",
        b"ok",
        b"[" * 100_000,
        b'{"status":"healthy"}',
        b'{"status":"healthy","services":[]}',
    ):
        assert not cca.is_health(Answer(200, other))


def agents(count: int) -> dict[str, Any]:
    return {"success": True, "agents": [{"agent_id": f"agent-{one:05d}", "role": "coder"} for one in range(count)]}


def test_of_a_large_answer_the_first_elements_stay_and_the_number_of_the_others() -> None:
    chance = random.Random(3)
    whole, one = agents(5000), sample("/api/v1/agents", agents(5000))
    found = json.loads(one.body or "")
    kept = len(found["agents"])
    assert len(one.body or "") <= 65_536
    assert found == {"success": True, "agents": whole["agents"][:kept], "agents left out": 5000 - kept}
    assert kept >= 300
    assert meaning("/api/v1/agents", shuffled(whole, chance)) == meaning("/api/v1/agents", whole)
    assert meaning("/api/v1/agents", agents(5001)) != meaning("/api/v1/agents", whole)


@pytest.mark.parametrize("max_bytes", [1024, 5000, 65_536])
@pytest.mark.parametrize(
    "value",
    [
        {f"agent {one}": {"role": "coder"} for one in range(9999)},
        {"agents": {f"agent {one}": [[one] * 50] * 50 for one in range(500)}},
        {f"{one}" * 100: ["x" * 200] * 200 for one in range(9)},
    ],
)
def test_whatever_its_shape_an_answer_is_kept_within_the_bound(value: Any, max_bytes: int) -> None:
    text = sample("/api/v1/agents", value, max_bytes=max_bytes).body or ""
    assert len(text.encode()) <= max_bytes
    assert "left out" in text
    assert json.loads(text)

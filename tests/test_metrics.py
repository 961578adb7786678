"""/metrics against the text format 0.0.4, read by a parser that forgives nothing."""

from __future__ import annotations

import asyncio
import math
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from commands import JULY_1
from ledger_rows import add_calls, add_name, add_source, make_ledger

from ccostdb.health.metrics import MOST_MODELS, metrics_text
from ccostdb.health.vitals import LedgerVitals, Vitals, watching
from ccostdb.settings import Settings

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([^ ]+)")
UNITS = ("_seconds", "_bytes", "_ratio", "_dollars")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(body: bytes) -> tuple[dict[str, str], Samples]:
    """Kinds by metric, samples by name and labels. A family comes once, with HELP, TYPE and samples in a row."""
    text = body.decode()
    assert text.endswith("\n")
    kinds: dict[str, str] = {}
    samples: Samples = {}
    helped = current = ""
    for each in text.removesuffix("\n").split("\n"):
        if each.startswith("# HELP "):
            helped, words = each.split(" ", 3)[2:]
            assert words.endswith(".")
            assert helped not in kinds
        elif each.startswith("# TYPE "):
            current, kind = each.split(" ")[2:]
            assert current == helped
            assert kind in ("counter", "gauge")
            assert (kind == "counter") is current.endswith("_total")
            kinds[current] = kind
        else:
            found = SAMPLE.fullmatch(each)
            assert found, each
            assert found[1] == current
            labels = re.findall(LABEL, found[2] or "")
            assert len({name for name, _ in labels}) == len(labels)
            key = (current, frozenset((name, _unescaped(value)) for name, value in labels))
            assert key not in samples, each
            samples[key] = float(found[7])
            assert math.isfinite(samples[key])
    assert {name for name, _ in samples} == set(kinds)
    return kinds, samples


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"ccostdb_{name}", frozenset(labels.items())]


@pytest.fixture
def con(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(make_ledger(tmp_path / "ledger.db")) as con:
        yield con


def look(tmp_path: Path) -> Vitals:
    """One look at the ledger, a minute after the start."""

    async def once() -> Vitals:
        async with watching(Settings(tmp_path / "ledger.db"), 0) as watch:
            return await watch.look(60.0)

    return asyncio.run(once())


def add_usage(con: sqlite3.Connection) -> None:
    claude, cco = add_source(con, "claude-code"), add_source(con, "cco")
    con.execute("update source set counted_setting = 1")
    kinds = {"input_tokens": 1, "output_tokens": 2, "cache_write_5m_tokens": 3, "cache_write_1h_tokens": 4}
    opus = {"model_id": add_name(con, "model", "opus"), "occurred_ns": JULY_1}
    add_calls(
        con,
        [
            {"call_id": "a", "source_id": claude, **opus, **kinds, "cache_read_tokens": 5, "total_tokens": 15},
            {"call_id": "b", "source_id": claude, **opus, **kinds, "cache_read_tokens": 5, "total_tokens": 15},
            {"call_id": "c", "source_id": cco, **opus, "total_tokens": 1000, "reported_nusd": 2_500_000_001},
            {"call_id": "d", "source_id": cco, "occurred_ns": JULY_1, "reported_nusd": 0},
        ],
    )


def test_usage_is_told_by_source_and_model(con: sqlite3.Connection, tmp_path: Path) -> None:
    add_usage(con)
    kinds, samples = parsed(metrics_text(look(tmp_path)))
    assert kinds["ccostdb_cost_dollars"] == "gauge"
    claude, cco = {"source": "claude-code", "model": "opus"}, {"source": "cco", "model": "opus"}
    assert (value(samples, "calls", **claude), value(samples, "calls", **cco)) == (2, 1)
    expected = {"input": 2, "output": 4, "cache_write_5m": 6, "cache_write_1h": 8, "cache_read": 10}
    assert {kind: value(samples, "tokens", **claude, kind=kind) for kind in expected} == expected
    assert value(samples, "tokens", **cco, kind="unsplit") == 1000
    assert value(samples, "cost_dollars", **cco) == 2.500000001
    assert value(samples, "cost_dollars", source="cco", model="") == 0
    assert value(samples, "unpriced_calls", **claude) == 2
    with pytest.raises(KeyError):  # unknown is not 0
        value(samples, "cost_dollars", **claude)
    assert ("ccostdb_tokens", frozenset({**claude, "kind": "unsplit"}.items())) not in samples


def test_what_the_process_and_its_sources_do_is_told(con: sqlite3.Connection, tmp_path: Path) -> None:
    source, away = add_source(con, "cco"), add_source(con, "ccd")
    con.execute(
        "insert into run (source_id, started_ns, updated_ns, state, events, frames, connections, saturation, "
        "last_event_ns) values (?1, 1, ?3, 'connected', 12, 30, 2, 0.6, ?3 - 500000000), "
        "(?2, 1, 1, 'disconnected', 0, 0, 0, null, null)",
        (source, away, JULY_1),
    )
    con.execute("insert into rejected (source_id, at_ns, reason, times) values (?, 1, 'odd', 3)", (source,))
    con.execute(
        "insert into job_run (job, started_ns, ended_ns, outcome) values "
        "('backup', ?1, ?1 + 2000000000, 'ok'), ('backup', ?1 + 9000000000, ?1 + 9500000000, 'failed'), "
        "('rollups', ?1, null, null)",
        (JULY_1,),
    )
    vitals = look(tmp_path)
    kinds, samples = parsed(metrics_text(vitals))
    at = {"source": "cco"}
    assert kinds["ccostdb_source_events_total"] == "counter"
    for name, expected in {
        "source_up": 1,
        "source_events_total": 12,
        "source_frames_total": 30,
        "source_connections_total": 2,
        "source_rejected": 3,
        "source_gaps": 0,
        "source_lag_seconds": 0.5,
        "source_saturation_ratio": 0.6,
        "source_last_event_timestamp_seconds": JULY_1 / 1e9 - 0.5,
    }.items():
        assert value(samples, name, **at) == expected, name
    assert value(samples, "source_up", source="ccd") == 0
    assert (value(samples, "up"), value(samples, "uptime_seconds")) == (0, 60)
    assert value(samples, "database_bytes") == (tmp_path / "ledger.db").stat().st_size
    assert value(samples, "wal_bytes") == (tmp_path / "ledger.db-wal").stat().st_size > 0
    assert value(samples, "job_last_run_timestamp_seconds", job="backup") == JULY_1 / 1e9 + 9
    assert value(samples, "job_last_success_timestamp_seconds", job="backup") == JULY_1 / 1e9 + 2
    assert value(samples, "job_last_run_success", job="backup") == 0
    assert ("ccostdb_job_last_run_success", frozenset({("job", "rollups")})) not in samples


def test_a_budget_is_told_by_its_share(con: sqlite3.Connection, tmp_path: Path) -> None:
    con.execute("insert into budget (name, period, limit_nusd) values ('all', 'month', 1000000000)")
    _, samples = parsed(metrics_text(look(tmp_path)))
    assert value(samples, "budget_used_ratio", budget="all", period="month") == 0


def test_names_carry_units_of_the_base_kind(con: sqlite3.Connection, tmp_path: Path) -> None:
    add_usage(con)
    kinds, _ = parsed(metrics_text(look(tmp_path)))
    assert all(name.startswith("ccostdb_") for name in kinds)
    assert not any(re.search("_(ms|ns|usd|nusd|milliseconds|kb|mb|percent)(_|$)", name) for name in kinds)
    assert {unit for unit in UNITS for name in kinds if name.endswith(unit)} == {"_seconds", "_bytes", "_dollars"}


def row(model: str | None, calls: int = 1, source: str = "cco", **more: Any) -> dict[str, Any]:
    return {"source": source, "model": model, "calls": calls, "unpriced_calls": 0, "cost_nusd": 1_000_000_000, **more}


def usage_text(*rows: dict[str, Any]) -> Samples:
    return parsed(metrics_text(Vitals(is_read=True, ledger=LedgerVitals(usage=rows))))[1]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\\", 'a\\"', "a{b}", "a,b=", "größe", "a b", "", "#", "\\n"])
def test_any_name_survives_as_a_label(name: str) -> None:
    assert value(usage_text(row(name)), "calls", source="cco", model=name) == 1


def test_a_name_that_would_break_a_line_or_is_very_long_is_made_plain() -> None:
    samples = usage_text(row("a\nb\r\x1b\u2028"), row("x" * 5000), row("x" * 6000))
    assert value(samples, "calls", source="cco", model="a b���") == 1
    assert value(samples, "calls", source="cco", model="x" * 200) == 2  # alike once they are cut


def test_beyond_a_number_of_models_the_rest_is_one() -> None:
    many = [row(f"model-{number:04d}", calls=number + 1) for number in range(1000)]
    samples = usage_text(*many, row("other", calls=7))
    models = {dict(labels)["model"] for name, labels in samples if name == "ccostdb_calls"}
    assert len(models) == MOST_MODELS + 1
    assert "model-0999" in models
    calls = sum(number for (name, _), number in samples.items() if name == "ccostdb_calls")
    assert calls == sum(each["calls"] for each in many) + 7
    rest = value(samples, "calls", source="cco", model="other")
    assert rest == sum(range(1, 951)) + 7


def test_before_the_ledger_is_read_nothing_of_it_is_said() -> None:
    _, samples = parsed(metrics_text(Vitals()))
    assert {name for name, _ in samples} == {"ccostdb_build_info", "ccostdb_up", "ccostdb_uptime_seconds"}
    assert value(samples, "up") == 0

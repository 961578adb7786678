"""Ledger and process → what a person should know of how it goes, and what to do about it. Reads; asks no clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ccostdb.budgets.standing import Standing
from ccostdb.clock import iso, parse_ns
from ccostdb.daemon.record import Record, read_record
from ccostdb.health.doctor import (
    NOTE,
    OK,
    PROBLEM,
    Finding,
    how_it_does,
    is_absent,
    ledger_findings,
    price_findings,
    reached_limits,
    reject_findings,
)
from ccostdb.lock import is_written
from ccostdb.logs import secrets_of, without_secrets
from ccostdb.reports.budgets import limits_now
from ccostdb.resources import sql
from ccostdb.settings import Settings

STATES = (OK, NOTE, PROBLEM)  # each worse than the one before

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Health:
    """How it goes now. `recording`: the process that does, None: there is none; `is_busy`: another one writes.

    Rows: `sources` of source_health with `how` (a word or two), `verdict` (one of STATES) and `last_event_ns`; `jobs`
    of the last runs; `unpriced` by model and source; `gaps` by source and kind, with `last_ns`; `rejects` by source and
    reason. `limits` are those of the settings' budgets.
    """

    now_ns: int
    recording: Record | None
    is_busy: bool
    sources: Sequence[Row]
    jobs: Sequence[Row]
    unpriced: Sequence[Row]
    gaps: Sequence[Row]
    rejects: Sequence[Row]
    limits: Sequence[Standing]
    findings: Sequence[Finding]

    @property
    def to_look_at(self) -> list[Finding]:
        """The findings that are not well, the worst first."""
        open_ones = [each for each in self.findings if each.state != OK]
        return sorted(open_ones, key=lambda each: STATES.index(each.state), reverse=True)

    @property
    def state(self) -> str:
        """That of the worst finding."""
        return next((each.state for each in self.to_look_at), OK)

    @property
    def summary(self) -> str:
        """How many findings there are to look at, in words."""
        return f"{len(self.to_look_at):,} to look at" if self.to_look_at else "all well"

    @property
    def known_sources(self) -> list[Row]:
        """All but those that were only looked for, and are not looked for now."""
        return [row for row in self.sources if self.recording or not is_absent(row)]

    def told(self) -> Row:
        """All of it for JSON. Times are UTC, money is US dollars."""
        record = self.recording
        recording = record and {"pid": record.pid, "since": iso(record.started_ns), "version": record.version}
        return {
            "status": self.state,
            "at": iso(self.now_ns),
            "recording": recording,
            "findings": [each._asdict() for each in self.findings],
            "sources": [{name: row[name] for name in row if name != "last_event_ns"} for row in self.sources],
            "jobs": [_told_job(row) for row in self.jobs],
            "unpriced_models": list(self.unpriced),
            "gaps": [{name: row[name] for name in row if name != "last_ns"} for row in self.gaps],
            "rejects": list(self.rejects),
        }


def look(con: sqlite3.Connection, settings: Settings, now_ns: int) -> Health:
    """Everything of one moment. `con` may make temporary tables."""
    record = read_record(settings.db)
    is_busy = record is None and is_written(settings.db)
    secrets = secrets_of(settings)

    def rows(query: str) -> list[Row]:
        return [without_secrets(row, secrets) for row in _rows(con, query)]

    unpriced, rejects = rows(sql("questions/models_without_price.sql")), rows(sql("queries/reject_reasons.sql"))
    limits, bad_budgets = limits_now(con, settings, now_ns)
    return Health(
        now_ns,
        record,
        is_busy,
        sources=[_source(row, is_running=is_busy or record is not None) for row in rows("select * from source_health")],
        jobs=_rows(con, sql("queries/last_job_runs.sql")),
        unpriced=unpriced,
        gaps=[{**row, "last_ns": parse_ns(row["last_at"])} for row in rows(sql("queries/gap_kinds.sql"))],
        rejects=rejects,
        limits=limits,
        findings=[
            *_recording(record, is_busy=is_busy, is_new=not _has_runs(con)),
            *price_findings(unpriced),
            *ledger_findings(con, settings, now_ns),
            *reject_findings(rejects),
            *([Finding("budgets", "settings", PROBLEM, bad_budgets.message, bad_budgets.hint)] if bad_budgets else []),
            *reached_limits(limits),
        ],
    )


def _recording(record: Record | None, *, is_busy: bool, is_new: bool) -> list[Finding]:
    if record:
        return [Finding("recording", "ledger", OK, f"pid {record.pid}, since {iso(record.started_ns)}")]
    if is_busy:
        return [Finding("recording", "ledger", OK, "a command writes into the ledger now")]
    value = "nothing has been recorded yet" if is_new else "nothing records now"
    return [Finding("recording", "ledger", NOTE, value, "To record from now on: ccostdb start")]


def _has_runs(con: sqlite3.Connection) -> bool:
    return bool(con.execute("select exists (select 1 from run)").fetchone()[0])


def _source(row: Row, *, is_running: bool) -> Row:
    how, verdict = how_it_does(row, is_running=is_running)
    last_event_ns = parse_ns(row["last_event_at"]) if row["last_event_at"] else None
    counted = bool(row["counted"])
    return {**row, "counted": counted, "how": how, "verdict": verdict, "last_event_ns": last_event_ns}


def _told_job(row: Row) -> Row:
    times = {name: row[f"{name}_ns"] and iso(row[f"{name}_ns"]) for name in ("started", "ended", "ok")}
    return {
        "job": row["job"],
        "outcome": row["outcome"],
        "detail": row["detail"],
        "started_at": times["started"],
        "ended_at": times["ended"],
        "last_ok_at": times["ok"],
    }


def _rows(con: sqlite3.Connection, query: str) -> list[Row]:
    cursor = con.cursor()
    cursor.row_factory = sqlite3.Row
    return [dict(row) for row in cursor.execute(query)]

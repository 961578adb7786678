"""Ledger and process → what a person should know of how it goes, and what to do about it. Reads; asks no clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ccostdb.budgets.entries import read_budgets
from ccostdb.budgets.standing import Standing
from ccostdb.clock import iso, parse_ns
from ccostdb.daemon.record import Record, read_record
from ccostdb.errors import BadSettings
from ccostdb.health.doctor import NOTE, OK, PROBLEM, Finding, ledger_findings, reached_limits
from ccostdb.lock import is_written
from ccostdb.logs import secrets_of, without_secrets
from ccostdb.reports.budgets import standings_now
from ccostdb.resources import sql
from ccostdb.settings import Settings
from ccostdb.words import count_of

STATES = (OK, NOTE, PROBLEM)  # each worse than the one before
# How a source's last run went, where it has ended: the word for it.
_ENDED = {"ok": "up to date", "no_data": "nothing to read", "stopped": "stopped"}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Health:
    """How it goes now. `recording`: the process that does, None: there is none; `is_busy`: another one writes.

    Rows: `sources` of source_health with `how` (a word or two), `standing` (one of STATES) and `last_event_ns`;
    `jobs` of the last runs; `unpriced` by model and source; `gaps` by source and kind; `rejects` by source and reason.
    `limits` are those of the settings' budgets.
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
    def standing(self) -> str:
        """That of the worst finding."""
        return max((each.state for each in self.findings), key=STATES.index, default=OK)

    def told(self) -> Row:
        """All of it for JSON. Times are UTC, money is US dollars."""
        record = self.recording
        recording = record and {"pid": record.pid, "since": iso(record.started_ns), "version": record.version}
        return {
            "status": self.standing,
            "at": iso(self.now_ns),
            "recording": recording,
            "findings": [each._asdict() for each in self.findings],
            "sources": [{name: row[name] for name in row if name != "last_event_ns"} for row in self.sources],
            "jobs": [_told_job(row) for row in self.jobs],
            "unpriced_models": list(self.unpriced),
            "gaps": list(self.gaps),
            "rejects": list(self.rejects),
        }


def look(con: sqlite3.Connection, settings: Settings, now_ns: int) -> Health:
    """Everything of one moment. `con` may make temporary tables."""
    record = read_record(settings.db)
    is_busy = record is None and is_written(settings.db)
    secrets = secrets_of(settings)

    def rows(query: str) -> list[Row]:
        return [without_secrets(row, secrets) for row in _rows(con, query)]

    unpriced, rejects = rows(sql("queries/unpriced_calls.sql")), rows(sql("queries/reject_reasons.sql"))
    limits, bad_budgets = _limits(con, settings, now_ns)
    return Health(
        now_ns,
        record,
        is_busy,
        sources=[_source(row, is_recording=record is not None) for row in rows("select * from source_health")],
        jobs=_rows(con, sql("queries/last_job_runs.sql")),
        unpriced=unpriced,
        gaps=rows(sql("queries/gap_kinds.sql")),
        rejects=rejects,
        limits=limits,
        findings=[
            *_recording(record, is_busy=is_busy, is_new=not _has_runs(con)),
            *_unpriced(unpriced),
            *ledger_findings(con, settings, now_ns),
            *_rejected(rejects),
            *bad_budgets,
            *reached_limits(limits),
        ],
    )


def _limits(con: sqlite3.Connection, settings: Settings, now_ns: int) -> tuple[list[Standing], list[Finding]]:
    """How the budgets of the settings stand, or why they cannot be read."""
    try:
        budgets = read_budgets(settings)
    except BadSettings as error:
        return [], [Finding("budgets", "settings", PROBLEM, error.message, error.hint)]
    return standings_now(con, budgets, now_ns) if budgets else [], []


def _recording(record: Record | None, *, is_busy: bool, is_new: bool) -> list[Finding]:
    if record:
        return [Finding("recording", "ledger", OK, f"pid {record.pid}, since {iso(record.started_ns)}")]
    if is_busy:
        return [Finding("recording", "ledger", OK, "a command writes into the ledger now")]
    value = "nothing has been recorded yet" if is_new else "nothing records now"
    return [Finding("recording", "ledger", NOTE, value, "To record from now on: ccostdb start")]


def _has_runs(con: sqlite3.Connection) -> bool:
    return bool(con.execute("select exists (select 1 from run)").fetchone()[0])


def _unpriced(rows: Sequence[Row]) -> Iterator[Finding]:
    if rows:
        models = {row["model"] for row in rows}
        calls = count_of(sum(row["unpriced_calls"] for row in rows), "call")
        hint = "Give a rate under [[price]] in the settings, then: ccostdb reprice"
        yield Finding(
            "prices", "price book", PROBLEM, f"{calls} of {count_of(len(models), 'model')} without a price", hint
        )


def _rejected(rows: Sequence[Row]) -> Iterator[Finding]:
    """One of each source; the reasons stand for themselves."""
    for source in dict.fromkeys(row["source"] for row in rows):
        times = sum(row["times"] for row in rows if row["source"] == source)
        yield Finding("sources", source, NOTE, f"rejected: {times:,}", "See them: ccostdb export rejects")


def _source(row: Row, *, is_recording: bool) -> Row:
    how, standing = _how(row, is_recording=is_recording)
    last_event_ns = parse_ns(row["last_event_at"]) if row["last_event_at"] else None
    counted = bool(row["counted"])
    return {**row, "counted": counted, "how": how, "standing": standing, "last_event_ns": last_event_ns}


def _how(row: Row, *, is_recording: bool) -> tuple[str, str]:
    """In a word or two how a source does, and whether that is well."""
    if row["outcome"] == "failed":
        return ("failed", PROBLEM) if row["frames"] else ("not found", NOTE)
    if row["outcome"] is not None:
        return _ENDED.get(row["outcome"], str(row["outcome"])), OK
    if row["last_run_at"] is None:
        return "never read", NOTE
    if not is_recording:
        return "cut off", NOTE
    state = row["state"] or "connecting"
    return state, {"connected": OK, "reading": OK, "error": PROBLEM}.get(state, NOTE)


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

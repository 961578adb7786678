"""A snapshot of vitals → Prometheus' text format 0.0.4. Pure.

By that ecosystem's rules a counter never falls: so what this process saw is a counter (`_total`), but what the ledger
holds is a gauge, for a correction, other prices or a source that is counted no more can lower it. Over time: `delta()`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ccostdb import __version__
from ccostdb.health.vitals import LedgerVitals, Vitals
from ccostdb.words import repeated

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_MODELS = 50  # those with the most calls have names, the rest are one: `other`
OTHER = "other"
KINDS = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")

Labels = dict[str, str]
Sample = tuple[Labels, float | int | None]


class Family(NamedTuple):
    """One metric; `kind` is counter or gauge. A value of None is unknown, and left out."""

    name: str
    kind: str
    help: str
    samples: Iterable[Sample]


def metrics_text(vitals: Vitals) -> bytes:
    """The body of /metrics."""
    families = (*_process(vitals), *_sources(vitals), *_usage(vitals.ledger), *_jobs(vitals.ledger))
    return "".join(line for family in families for line in _lines(family)).encode()


def _lines(family: Family) -> Iterator[str]:
    known = [(labels, value) for labels, value in family.samples if value is not None]
    if known:
        yield f"# HELP ccostdb_{family.name} {family.help}\n# TYPE ccostdb_{family.name} {family.kind}\n"
    for labels, value in known:
        listed = ",".join(f'{name}="{_label(text)}"' for name, text in labels.items())
        yield f"ccostdb_{family.name}{f'{{{listed}}}' if listed else ''} {value!r}\n"


def _label(text: str) -> str:
    """A value as it stands between quotes; what would not print is replaced, and a very long one is cut."""
    return repeated(text).replace("\\", r"\\").replace('"', r"\"")


def _process(vitals: Vitals) -> Iterator[Family]:
    ledger = vitals.ledger
    yield Family("build_info", "gauge", "The version that runs.", [({"version": __version__}, 1)])
    yield Family("up", "gauge", "1 when /health answers 200.", [({}, int(vitals.is_healthy))])
    yield Family("uptime_seconds", "gauge", "How long the process has run.", [({}, round(vitals.uptime_s, 3))])
    yield Family("database_bytes", "gauge", "Size of the ledger's file.", [({}, vitals.database_bytes)])
    yield Family("wal_bytes", "gauge", "Size of the ledger's write-ahead log.", [({}, vitals.wal_bytes)])
    if vitals.is_read:
        yield Family("events", "gauge", "Activities and daemon events in the ledger.", [({}, ledger.events)])


def _sources(vitals: Vitals) -> Iterator[Family]:
    def each(name: str) -> list[Sample]:
        return [({"source": source.name}, getattr(source, name)) for source in vitals.sources]

    yield Family(
        *("source_up", "gauge", "1 while the source is read, or was read to its end."),
        [({"source": each.name}, int(each.connection == "connected")) for each in vitals.sources],
    )
    yield Family("source_events_total", "counter", "New events since the process began.", each("events"))
    yield Family("source_frames_total", "counter", "Frames or lines read since the process began.", each("frames"))
    yield Family("source_connections_total", "counter", "Connections since the process began.", each("connections"))
    yield Family("source_gaps", "gauge", "Gaps in the ledger: what is provably missing.", each("gaps"))
    yield Family("source_rejected", "gauge", "What could not be understood, in the ledger.", each("rejected"))
    lag = "How old the newest event was when it was stored."
    yield Family("source_lag_seconds", "gauge", lag, each("lag_s"))
    saturation = "Most new events in one frame, as a share of what a frame can hold."
    yield Family("source_saturation_ratio", "gauge", saturation, each("saturation"))
    yield Family(
        *("source_last_event_timestamp_seconds", "gauge", "When the newest event occurred."),
        [({"source": each.name}, _seconds(each.last_event_ns)) for each in vitals.sources],
    )


def _usage(ledger: LedgerVitals) -> Iterator[Family]:
    cells = _cells(ledger)

    def each(name: str) -> list[Sample]:
        return [({"source": source, "model": model}, cell.get(name)) for (source, model), cell in cells.items()]

    yield Family("calls", "gauge", "Model calls of counted sources, all time.", each("calls"))
    unpriced = "Those of them whose cost is unknown, and so in no cost."
    yield Family("unpriced_calls", "gauge", unpriced, each("unpriced_calls"))
    yield Family(
        *("tokens", "gauge", "Their tokens by kind; unsplit: of calls that told only a total."),
        [
            ({"source": source, "model": model, "kind": kind}, tokens)
            for (source, model), cell in cells.items()
            for kind, tokens in _tokens(cell)
        ],
    )
    yield Family(
        *("cost_dollars", "gauge", "What they cost in USD."),
        [(labels, None if nusd is None else nusd / 1e9) for labels, nusd in each("cost_nusd")],
    )


def _cells(ledger: LedgerVitals) -> dict[tuple[str, str], dict[str, int]]:
    """Sums by source and model, the model that has no name as ''. What no call says is in none."""
    calls: dict[str, int] = defaultdict(int)
    for row in ledger.usage:
        calls[row["model"] or ""] += row["calls"]
    named = set(sorted(calls, key=lambda model: (-calls[model], model))[:MOST_MODELS])
    cells: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for row in ledger.usage:
        model = row["model"] or ""
        cell = cells[repeated(row["source"]), repeated(model) if model in named else OTHER]
        for name, value in row.items():
            if isinstance(value, int):
                cell[name] = cell.get(name, 0) + value
    return cells


def _tokens(cell: dict[str, int]) -> Iterator[tuple[str, int]]:
    kinds = {kind: cell[f"{kind}_tokens"] for kind in KINDS if f"{kind}_tokens" in cell}
    yield from kinds.items()
    if unsplit := cell.get("total_tokens", 0) - sum(kinds.values()):
        yield "unsplit", unsplit


def _jobs(ledger: LedgerVitals) -> Iterator[Family]:
    def each(value: Any) -> list[Sample]:
        return [({"job": row["job"]}, value(row)) for row in ledger.jobs]

    began = "When the job last began."
    yield Family("job_last_run_timestamp_seconds", "gauge", began, each(lambda row: _seconds(row["started_ns"])))
    ended = "When the job last ended well."
    yield Family("job_last_success_timestamp_seconds", "gauge", ended, each(lambda row: _seconds(row["ok_ns"])))
    yield Family(
        *("job_last_run_success", "gauge", "1 when the job's last run ended well, 0 when it failed."),
        each(lambda row: None if row["outcome"] is None else int(row["outcome"] == "ok")),
    )
    yield Family(
        *("budget_used_ratio", "gauge", "What is spent of a budget in its current day, week or month."),
        [
            ({"budget": each.budget, "period": each.period}, each.spent_nusd / each.limit_nusd)
            for each in ledger.budgets
            if each.spent_nusd is not None
        ],
    )


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns // 1_000_000 / 1000

"""What each cost view must show, computed plainly from the calls: no quarter hours, no rollups, no SQL."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ccostdb.clock import iso

Call = dict[str, Any]
Row = tuple[Any, ...]


def read_calls(con: sqlite3.Connection, zone: ZoneInfo, cost: str = "auto") -> list[Call]:
    """Every call with its names, its local times in `zone`, and the cost in question."""
    cursor = con.execute(
        "select call.*, source.name as source, model.name as model, project.name as project, agent.name as agent,"
        " session.name as session, counted from call join source using (source_id)"
        " join source_counted using (source_id) left join model using (model_id) left join project using (project_id)"
        " left join agent using (agent_id) left join session using (session_id)"
    )
    names = [column[0] for column in cursor.description]
    calls = [dict(zip(names, row, strict=True)) for row in cursor]
    for call in calls:
        local = datetime.fromtimestamp(call["occurred_ns"] // 10**9, zone)
        call["hour"] = f"{local:%Y-%m-%dT%H}:00{local.isoformat()[-6:]}"
        call["day"], call["month"], call["week"] = f"{local:%Y-%m-%d}", f"{local:%Y-%m}", f"{local:%G-W%V}"
        reported, computed = call["reported_nusd"], call["computed_nusd"]
        auto = computed if reported is None else reported
        call["cost"] = {"auto": auto, "reported": reported, "computed": computed}[cost]
    return calls


def rows_of(view: str, calls: list[Call]) -> list[Row]:
    """The rows of a cost view over these calls, in no order."""
    counted = [call for call in calls if call["counted"]]
    return list(_VIEWS[view](calls if view in ("source_costs", "cache_savings") else counted))


def _sum(values: Iterable[int | None]) -> int | None:
    """Their sum without the unknown ones; None if all are unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _usd(nusd: int | None) -> float | None:
    return None if nusd is None else nusd / 1e9


def _measures(calls: list[Call]) -> Row:
    both = [(call["uncached_nusd"], call["computed_nusd"]) for call in calls]
    savings = [None if None in pair else pair[0] - pair[1] for pair in both]
    kinds = ("input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens")
    return (
        len(calls),
        sum(call["status"] == "error" for call in calls),
        sum(call["cost"] is None for call in calls),
        sum(call["input_tokens"] is None for call in calls),
        sum(call["is_response_cache_hit"] for call in calls),
        *(_sum(call[kind] for call in calls) for kind in (*kinds, "total_tokens")),
        _usd(_sum(call["cost"] for call in calls)),
        _usd(_sum(call["uncached_nusd"] for call in calls)),
        _usd(_sum(savings)),
    )


def _groups(calls: list[Call], *names: str) -> Iterator[tuple[Row, list[Call]]]:
    found: dict[Row, list[Call]] = defaultdict(list)
    for call in calls:
        found[tuple(call[name] for name in names)].append(call)
    yield from found.items()


def _by(*names: str) -> Callable[[list[Call]], Iterator[Row]]:
    return lambda calls: ((*key, *_measures(group)) for key, group in _groups(calls, *names))


def _by_period(name: str) -> Callable[[list[Call]], Iterator[Row]]:
    def rows(calls: list[Call]) -> Iterator[Row]:
        for key, group in _groups(calls, name):
            sessions = {call["session"] for call in group} - {None}
            latencies = [call["latency_ms"] for call in group if call["latency_ms"] is not None]
            average = int(sum(latencies) / len(latencies) + 0.5) if latencies else None
            yield (*key, *_measures(group), len(sessions) or None, average)

    return rows


def _span(calls: list[Call]) -> Row:
    times = [call["occurred_ns"] for call in calls]
    return iso(min(times)), iso(max(times))


def _share(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else part / whole


def _by_value(name: str) -> Callable[[list[Call]], Iterator[Row]]:
    def rows(calls: list[Call]) -> Iterator[Row]:
        whole = _sum(call["cost"] for call in calls)
        for key, group in _groups(calls, name):
            share = _share(_sum(call["cost"] for call in group), whole)
            yield (*key, *_span(group), share, *_measures(group))

    return rows


def _by_source(calls: list[Call]) -> Iterator[Row]:
    whole = _sum(call["cost"] for call in calls if call["counted"])
    for key, group in _groups(calls, "source", "counted"):
        share = _share(_sum(call["cost"] for call in group if call["counted"]), whole)
        yield (*key, *_span(group), share, *_measures(group))


def _by_session(calls: list[Call]) -> Iterator[Row]:
    for (session,), group in _groups(calls, "session"):
        first = min(group, key=lambda call: (call["occurred_ns"], str(call["project_id"])))
        models = sorted({call["model"] for call in group} - {None})
        yield (session, first["project"], *_span(group), ", ".join(models) or None, *_measures(group))


def _savings(calls: list[Call]) -> Iterator[Row]:
    rates: dict[Row, float | None] = {}
    for key, group in _groups(calls, "source", "model"):
        paid = [call for call in group if not call["is_response_cache_hit"] and call["total_tokens"] is not None]
        paid = [call for call in paid if call["cost"] is not None]
        cost, tokens = _sum(call["cost"] for call in paid), _sum(call["total_tokens"] for call in paid)
        rates[key] = cost / tokens if cost is not None and tokens else None
    for key, group in _groups(calls, "month", "source", "counted", "model"):
        hits = [call for call in group if call["is_response_cache_hit"]]
        tokens, rate = _sum(call["total_tokens"] for call in hits), rates[key[1], key[3]]
        writes = [_sum(call[f"cache_write_{kind}_tokens"] for call in group) for kind in ("5m", "1h")]
        yield (
            *key,
            _sum(call["cache_read_tokens"] for call in group),
            None if None in writes else _sum(writes),
            _measures(group)[-1],
            len(hits),
            0.0 if not hits else None if tokens is None or rate is None else tokens * rate / 1e9,
        )


_VIEWS: dict[str, Callable[[list[Call]], Iterator[Row]]] = {
    "hourly_costs": _by("hour"),
    "daily_costs": _by_period("day"),
    "weekly_costs": _by("week"),
    "monthly_costs": _by_period("month"),
    "model_costs": _by_value("model"),
    "project_costs": _by_value("project"),
    "agent_costs": _by_value("agent"),
    "source_costs": _by_source,
    "daily_model_costs": _by("day", "model"),
    "daily_project_costs": _by("day", "project"),
    "daily_agent_costs": _by("day", "agent"),
    "monthly_model_costs": _by("month", "model"),
    "session_costs": _by_session,
    "cache_savings": _savings,
}
COST_VIEWS = tuple(_VIEWS)

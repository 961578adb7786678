"""Limits and what was spent → how each budget stands in its current day, week or month. Pure: now is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from ccostdb.budgets.entries import PERIODS, threshold_nusd
from ccostdb.clock import SECOND_NS, Span, span_at
from ccostdb.views import budgets_sql

PACE_AFTER_NS = 300 * SECOND_NS  # earlier in a period, one call would make the pace
LIMITS = "select name, period, limit_nusd from budget order by budget_id"


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit of a budget in its current day, week or month. spent_nusd None: there are calls, all without a cost."""

    budget: str
    period: str
    span: Span
    limit_nusd: int
    spent_nusd: int | None = 0
    calls: int = 0
    unpriced_calls: int = 0

    def is_reached(self, share: float) -> bool:
        """Whether a share of the limit is spent. What is unknown reaches nothing."""
        return self.spent_nusd is not None and self.spent_nusd >= threshold_nusd(self.limit_nusd, share)

    def pace(self, now_ns: int) -> float | None:
        """Share spent / share of the period that has passed; 1 ends on the limit. None: too early, or unknown."""
        projected_nusd = self.projected_nusd(now_ns)
        return None if projected_nusd is None else projected_nusd / self.limit_nusd

    def projected_nusd(self, now_ns: int) -> int | None:
        """As `projected_nusd`."""
        return projected_nusd(self.span, self.spent_nusd, now_ns)

    def used_up_ns(self, now_ns: int) -> int | None:
        """When the limit will be reached at that pace. None: not in this period, too early, unknown, or it is."""
        if not self.spent_nusd or self.is_reached(1.0) or self.projected_nusd(now_ns) is None:
            return None
        reached_ns = self.span.from_ns + (now_ns - self.span.from_ns) * self.limit_nusd // self.spent_nusd
        return reached_ns if reached_ns < self.span.to_ns else None


def projected_nusd(span: Span, spent_nusd: int | None, now_ns: int) -> int | None:
    """What a period will have cost at its end if it goes on as from its start. None: too early, or unknown."""
    passed_ns = now_ns - span.from_ns
    if spent_nusd is None or passed_ns < PACE_AFTER_NS:
        return None
    return spent_nusd * (span.to_ns - span.from_ns) // passed_ns


def spans_at(now_ns: int, home_tz: str) -> dict[str, Span]:
    """The day, week and month that are now in the ledger's zone."""
    return {period: span_at(period, now_ns, ZoneInfo(home_tz)) for period in PERIODS}


def spent_question(spans: Mapping[str, Span], limits: Sequence[Any]) -> tuple[str, dict[str, str]]:
    """The select, and its parameters, of the rows of view `budgets` for these spans; `limits` are rows of LIMITS."""
    since_day = min(spans[period].first_day for _, period, _ in limits)
    labels = {period: span.label for period, span in spans.items()}
    columns = "budget, period, spent_nusd, calls, unpriced_calls"
    narrowed = budgets_sql().replace("select * from (", f"select {columns} from (", 1)
    return f"{narrowed} where period_label in (:day, :week, :month)", {"since_day": str(since_day), **labels}


def standings(spans: Mapping[str, Span], limits: Iterable[Any], spent: Iterable[Any]) -> list[Standing]:
    """One for each of `limits`, in their order; where `spent` has no row, nothing was."""
    found = {(row[0], row[1]): tuple(row)[2:] for row in spent}
    return [
        Standing(name, period, spans[period], limit_nusd, *found.get((name, period), ()))
        for name, period, limit_nusd in limits
    ]

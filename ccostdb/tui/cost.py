"""The cost summary: what was spent, against the time before, and where it leads. Pure: a snapshot → lines."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import set_cell_size
from rich.text import Text

from ccostdb.budgets.standing import Standing
from ccostdb.reports.spending import Spending, Spent
from ccostdb.tui.bars import bar, sparkline
from ccostdb.tui.columns import Cell, Column, lay_out
from ccostdb.tui.palette import ACCENT, BAD, FAINT, GOOD, QUIET, TEXT, WARNING
from ccostdb.tui.reading import Sums
from ccostdb.words import count_of, printable
from ccostdb.written import change, day_text, percent, short, usd, usd_digits

_SPENT = (
    Column("", is_number=False, least=5, is_stretched=True),
    Column("Cost"),
    Column("vs last", rank=2),
    Column("Calls", rank=1),
    Column("Saved", rank=3),
    Column("Cached", rank=5),
    Column("Tokens", rank=4),
)
_PACE = (
    Column("Pace", is_number=False, least=6, is_stretched=True),
    *(Column("Hour"), Column("Day"), Column("Month")),
)
_NEAR = 0.8  # of a limit
_WIDE = 44  # cells from which on there is room for words
_NAME = 8  # cells for a budget's name


def cost_lines(sums: Sums | None, width: int, height: int) -> list[Text]:
    """What the panel shows: with more below where there is room; the panel scrolls."""
    if sums is None:
        return [Text("Reading …", QUIET)]
    if not sums.has_calls:
        return _empty()
    near = [each for each in sums.limits if _used(each) >= _NEAR]
    far = [each for each in sums.limits if _used(each) < _NEAR]
    parts = [_spent(sums.spending, width), _earlier(sums.spending), _limits(near, width), _pace(sums.spending, width)]
    parts = [part for part in (*parts, _limits(far, width), _notes(sums)) if part]
    if sum(map(len, parts)) < height:
        parts += [part for part in [_hours(sums.spending, width)] if part]
    is_roomy = sum(map(len, parts)) + len(parts) - 1 <= height
    lines: list[Text] = []
    for part in parts:
        lines += [Text("")] if lines and is_roomy else []
        lines += part
    return lines


def _empty() -> list[Text]:
    return [
        Text("The ledger has no calls yet.", f"bold {TEXT}"),
        Text.assemble(("To record some: ", TEXT), ("ccostdb ingest", ACCENT)),
        Text.assemble(("To see an example: ", TEXT), ("ccostdb demo", ACCENT)),
    ]


def _spent(spending: Spending, width: int) -> list[Text]:
    periods = [
        ("Today", spending.today, spending.yesterday_by_now),
        ("Week", spending.week, spending.last_week_by_now),
        ("Month", spending.month, spending.last_month_by_now),
    ]
    digits = usd_digits([spent.cost_nusd for _, spent, _ in periods])
    heading, lines = lay_out(_SPENT, [_period(*each, digits) for each in periods], width)
    return [Text(heading, QUIET), *lines]


def _period(name: str, spent: Spent, before: Spent, digits: int) -> list[Cell]:
    arrow, changed = change(spent.cost_nusd, before.cost_nusd)
    return [
        Cell(name, TEXT),
        Cell(usd(spent.cost_nusd, digits) + ("+" if spent.unpriced_calls else ""), f"bold {TEXT}"),
        Cell(f"{arrow} {changed}".lstrip(), {"▲": WARNING, "▼": GOOD}.get(arrow, QUIET)),
        Cell(f"{spent.calls:,}"),
        Cell(usd(spent.savings_nusd, digits), _gain(spent.savings_nusd)),
        Cell(percent(spent.cache_share)),
        Cell(short(spent.total_tokens)),
    ]


def _gain(nusd: int | None) -> str:
    return QUIET if not nusd else GOOD if nusd > 0 else BAD


def _pace(spending: Spending, width: int) -> list[Text]:
    pace = spending.pace
    projected = (pace.cost_nusd_per_hour, pace.projected_day_nusd, pace.projected_month_nusd)
    calls = f"{pace.calls_per_hour:,}{' calls' if width >= _WIDE else ''}/h"
    row = [Cell(calls, TEXT), *(Cell(usd(nusd, usd_digits(projected)), f"bold {ACCENT}") for nusd in projected)]
    heading, lines = lay_out(_PACE, [row], width)
    return [Text(heading, QUIET), *lines]


def _earlier(spending: Spending) -> list[Text]:
    """Of a ledger with older calls only, when the last were, and what was spent in all."""
    spent = spending.in_all
    if spent is None:
        return []
    day = f"{day_text(spent.last_day)} {spent.last_day.year}"
    return [Text(f"Last spent on {day}; {usd(spent.cost_nusd)} in all", WARNING)]


def _limits(limits: Iterable[Standing], width: int) -> list[Text]:
    """The limits of budgets, the fullest first: a bar, the share that is used, the limit."""
    return [_limit(each, width) for each in sorted(limits, key=_used, reverse=True)]


def _used(standing: Standing) -> float:
    return (standing.spent_nusd or 0) / standing.limit_nusd


def _limit(standing: Standing, width: int) -> Text:
    used = _used(standing)
    colour = BAD if used >= 1 else WARNING if used >= _NEAR else GOOD
    part = percent(None if standing.spent_nusd is None else used)
    said = f" {part:>5} of {usd(standing.limit_nusd)} a {standing.period}"
    name = set_cell_size(printable(standing.budget), _NAME)
    room = max(4, width - _NAME - len(said) - 1)
    full = bar(used, room)
    return Text.assemble((f"{name} ", TEXT), (full, colour), ("━" * (room - len(full)), FAINT), (said, TEXT))


def _hours(spending: Spending, width: int) -> list[Text]:
    """What each hour of today cost."""
    costs = [0] * 24
    for hour in spending.hours:
        if hour.first_day == spending.today.first_day:
            costs[int(hour.label[11:13])] += hour.cost_nusd or 0
    if not any(costs):
        return []
    name, most = "Today by hour ", f" max {usd(max(costs))}"
    bars = sparkline(costs, min(24, width - len(name) - len(most)))
    return [Text.assemble((name, QUIET), (bars, ACCENT), (most, QUIET))]


def _notes(sums: Sums) -> list[Text]:
    """What the sums do not say by themselves."""
    notes = [sums.bad_budgets] if sums.bad_budgets else []
    notes += [f"This month, {note[0].lower()}{note[1:]}" for note in sums.notes]
    if sums.spending.month.errors:
        notes.append(f"{count_of(sums.spending.month.errors, 'call')} of this month failed")
    return [Text(printable(note), WARNING) for note in notes]

"""The breakdown: tiers and their models in one period, with what caching saved. Pure: sums → lines of a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rich.text import Text

from ccostdb.reports.spending import Share
from ccostdb.tui.bars import bar
from ccostdb.tui.columns import Cell, Column, lay_out
from ccostdb.tui.palette import ACCENT, BAD, GOOD, QUIET, TEXT, WARNING
from ccostdb.tui.reading import Sums
from ccostdb.tui.tiers import by_tier
from ccostdb.words import printable
from ccostdb.written import UNKNOWN, percent, short, usd, usd_digits

_BAR = 10
_COLUMNS = (
    Column("Tier and model", is_number=False, least=27, is_stretched=True),
    Column("Calls"),
    Column("Cost"),
    Column("Share", rank=1),
    Column("", is_number=False, rank=3, least=_BAR),
    Column("Saved"),
    Column("Tokens", rank=2),
    Column("USD/M tok", rank=4),
    Column("No price", rank=5),
)
SORTS: dict[str, Callable[[Share], float]] = {
    "cost": lambda each: -1 if each.cost_nusd is None else each.cost_nusd,
    "calls": lambda each: each.calls,
    "saved": lambda each: float("-inf") if each.savings_nusd is None else each.savings_nusd,
    "tokens": lambda each: each.total_tokens or 0,
}


class Listed(NamedTuple):
    """Lines under a heading; what `keys` name stays the same from look to look."""

    heading: str
    lines: list[Text]
    keys: list[str]


def model_lines(sums: Sums, sort: str, width: int) -> Listed:
    """A line for each tier, its models under it, and their total, the greatest first."""
    models = sums.models.shares["model"]
    tiers = sorted(by_tier(models), key=lambda tier: SORTS[sort](tier.total), reverse=True)
    digits = usd_digits([each.cost_nusd for each in models])
    rows, keys = [], []
    for tier in tiers:
        rows.append(_row(tier.total, tier.total.name or "", f"bold {TEXT}", digits))
        keys.append(f"tier {tier.total.name}")
        for each in sorted(tier.models, key=SORTS[sort], reverse=True):
            rows.append(_row(each, f"  {'not named' if each.name is None else each.name}", TEXT, digits))
            keys.append(f"model {each.name}")
    if len(tiers) > 1:
        rows.append(_row(Share.added("Total", [tier.total for tier in tiers]), "Total", f"bold {ACCENT}", digits))
        keys.append("total")
    if not rows:
        return Listed("No calls of counted sources in this period. Press p for another one.", [], [])
    return Listed(*lay_out(_COLUMNS, rows, width), keys)


def _row(each: Share, name: str, style: str, digits: int) -> list[Cell]:
    rate = each.cost_nusd / each.total_tokens / 1000 if each.cost_nusd is not None and each.total_tokens else None
    saved = QUIET if not each.savings_nusd else GOOD if each.savings_nusd > 0 else BAD
    return [
        Cell(printable(name), style),
        Cell(f"{each.calls:,}", style),
        Cell(usd(each.cost_nusd, digits) + ("+" if each.unpriced_calls and each.cost_nusd is not None else ""), style),
        Cell(percent(each.share), style),
        Cell(bar(each.share, _BAR), ACCENT),
        Cell(usd(each.savings_nusd, digits), saved),
        Cell(short(each.total_tokens), style),
        Cell(UNKNOWN if rate is None else f"{rate:,.2f}", QUIET),
        Cell(f"{each.unpriced_calls:,}" if each.unpriced_calls else "", WARNING),
    ]


def saved_text(sums: Sums) -> str:
    """What caching saved in the period, in prompts and in responses; '' where there was no caching."""
    prompts_nusd = Share.added(None, sums.models.shares["model"]).savings_nusd
    said = [] if prompts_nusd is None else [f"{usd(prompts_nusd)} in prompts"]
    if sums.models.response_cache_hits:
        responses_nusd = sums.models.response_cache_savings_nusd
        about = "an unknown sum" if responses_nusd is None else f"about {usd(responses_nusd)}"
        said.append(f"{about} in responses")
    return f"caching saved {', '.join(said)}" if said else ""

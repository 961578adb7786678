"""What was spent on each model → the same by tier, as CCO names them: by what is in the model's name. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from ccostdb.reports.spending import Share

TIERS = ("Opus", "Sonnet", "Haiku")
OTHER = "Other"

Number = TypeVar("Number", int, float)


class Tier(NamedTuple):
    """A tier's sums, and the models in it, in the order they came."""

    total: Share
    models: list[Share]


def tier_of(model: str | None) -> str:
    """Opus, Sonnet, Haiku or Other."""
    name = (model or "").lower()
    return next((tier for tier in TIERS if tier.lower() in name), OTHER)


def by_tier(models: Sequence[Share]) -> list[Tier]:
    """The tiers that have calls, Other last."""
    tiers = []
    for name in (*TIERS, OTHER):
        found = [each for each in models if tier_of(each.name) == name]
        if found:
            tiers.append(Tier(total(name, found), found))
    return tiers


def total(name: str, shares: Sequence[Share]) -> Share:
    """Several shares as one; a sum is None where none of them knows it."""
    return Share(
        name,
        share=_sum([each.share for each in shares]),
        calls=sum(each.calls for each in shares),
        unpriced_calls=sum(each.unpriced_calls for each in shares),
        cost_nusd=_sum([each.cost_nusd for each in shares]),
        savings_nusd=_sum([each.savings_nusd for each in shares]),
        total_tokens=_sum([each.total_tokens for each in shares]),
    )


def _sum(values: Sequence[Number | None]) -> Number | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None

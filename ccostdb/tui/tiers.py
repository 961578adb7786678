"""What was spent on each model → the same by tier, as CCO names them: by what is in the model's name. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ccostdb.reports.spending import Share

TIERS = ("Opus", "Sonnet", "Haiku")
OTHER = "Other"


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
            tiers.append(Tier(Share.added(name, found), found))
    return tiers

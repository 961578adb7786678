"""What was spent day by day → what the month will have cost, how sure that is, and how such forecasts did before. Pure.

The method: each day that is left of the month costs what one of the recent days did, a working day what a working day,
a weekend's what a weekend's did. Many months are drawn so; the forecast is the middle one, the range holds four of five
of them. Today counts for what was spent so far, or for the drawn day if that is more.

How good it is: the same is done from earlier days, with as many days to go, and compared with what came.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

RECENT_DAYS = 56  # drawn from: eight weeks, of which each weekday has eight
FEWEST_DAYS = 14  # before the first forecast: two weekends
DRAWS = 2_000
RANGE = (0.1, 0.9)
SEED = 1  # the same ledger gives the same forecast


@dataclass(frozen=True, slots=True)
class Forecast:
    """A month in US dollars: spent to now, the whole month as forecast, and a range that should hold 4 of 5 months.

    `paths_usd` has a row for each day of the month from today on: what the month will have cost by its end (`low_usd`,
    `middle_usd`, `high_usd`). `days` is how many recent days it is drawn from.
    """

    today: date
    spent_usd: float
    total_usd: float
    low_usd: float
    high_usd: float
    days: int
    paths_usd: pd.DataFrame


def daily_spend(costs: pd.DataFrame, today: date) -> pd.Series:
    """US dollars of each day from the first with calls to today: `costs` is the frame `daily_costs`.

    0 where there were no calls, NA where all calls of a day have no price.
    """
    if costs.empty:
        return pd.Series([], index=pd.DatetimeIndex([], name="day"), dtype="Float64", name="cost_usd")
    by_day = costs.set_index("day")["cost_usd"]
    days = pd.date_range(by_day.index.min(), max(by_day.index.max(), pd.Timestamp(today)), name="day")
    return by_day.reindex(days).where(days.isin(by_day.index), 0.0)


def forecast_month(spend: pd.Series, today: date) -> Forecast | None:
    """The month that today is in. `spend` as `daily_spend` gives it; None: fewer than FEWEST_DAYS days to draw from."""
    now = pd.Timestamp(today)
    recent = spend[spend.index < now].dropna().tail(RECENT_DAYS)
    if len(recent) < FEWEST_DAYS:
        return None
    month = spend[(spend.index >= now.replace(day=1)) & (spend.index < now)].sum()
    so_far = spend[spend.index == now].sum()
    days = pd.date_range(now, now.replace(day=monthrange(today.year, today.month)[1]), name="day")
    drawn = _draw(recent, days)
    drawn[:, 0] = np.maximum(drawn[:, 0], so_far)
    paths = month + drawn.cumsum(axis=1)
    low, middle, high = np.quantile(paths, (RANGE[0], 0.5, RANGE[1]), axis=0)
    frame = pd.DataFrame({"low_usd": low, "middle_usd": middle, "high_usd": high}, index=days)
    return Forecast(today, float(month + so_far), middle[-1], low[-1], high[-1], len(recent), frame)


def backtest(spend: pd.Series, today: date) -> pd.DataFrame:
    """How forecasts did that began a week apart, each with as many days to go as the month has now.

    A row: its first `day`, what the days to go did cost (`actual_usd`), what was forecast (`forecast_usd`, `low_usd`,
    `high_usd`), and what as many days before had cost (`before_usd`), the guess that a forecast has to beat.
    """
    ahead = monthrange(today.year, today.month)[1] - today.day + 1
    whole = spend[spend.index < pd.Timestamp(today)]
    rows = []
    for start in range(len(whole) - ahead, max(FEWEST_DAYS, ahead) - 1, -7):
        recent, coming = whole[:start].dropna().tail(RECENT_DAYS), whole[start : start + ahead]
        if len(recent) >= FEWEST_DAYS:
            sums = _draw(recent, pd.DatetimeIndex(coming.index)).sum(axis=1)
            before = whole[start - ahead : start].sum()
            rows.append((coming.index[0], coming.sum(), *np.quantile(sums, (0.5, *RANGE)), before))
    columns = ["day", "actual_usd", "forecast_usd", "low_usd", "high_usd", "before_usd"]
    return pd.DataFrame(rows[::-1], columns=columns)


def typical_error(actual: pd.Series, forecast: pd.Series) -> float | None:
    """The median of |forecast - actual| / actual. None: nothing to compare."""
    shares = ((forecast - actual).abs() / actual)[actual > 0]
    return float(shares.median()) if len(shares) else None


def _draw(recent: pd.Series, days: pd.DatetimeIndex) -> np.ndarray:
    """DRAWS rows of what each of `days` may cost: a recent day of the same kind, or any where there is none of that."""
    chance = np.random.default_rng(SEED)
    amounts = recent.to_numpy(dtype=float)
    is_weekend = pd.DatetimeIndex(recent.index).day_of_week >= 5
    drawn = np.empty((DRAWS, len(days)))
    for column, weekday in enumerate(days.day_of_week):
        alike = amounts[is_weekend == (weekday >= 5)]
        drawn[:, column] = chance.choice(alike if len(alike) else amounts, DRAWS)
    return drawn

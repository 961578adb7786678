"""Frames → the charts that answer one question each, drawn in the forms of `charts`. An empty frame is said so."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ccostdb.analysis.charts import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    RED,
    canvas,
    date_axis,
    dollar_axis,
    dollars,
    legend,
    share_axis,
)
from ccostdb.analysis.forecast import Forecast

_BEFORE = ("-", "--", ":")  # lines of the months before, the last one first


def savings_by_month(savings: pd.DataFrame) -> Axes:
    """What caching saved, of the frame `cache_savings`: net for prompts, an estimate for responses, side by side."""
    kinds = {
        "prompt_cache_savings_usd": "prompt caching, net",
        "response_cache_savings_usd_estimate": "response caching, estimated",
    }
    sums = savings.groupby("month")[list(kinds)].sum(min_count=1).dropna(how="all").astype(float)
    ax = canvas("What caching saved, by month", is_empty=sums.empty)
    if sums.empty:
        return ax
    for offset, (kind, colour) in zip((-0.18, 0.18), zip(kinds, (BLUE, ORANGE), strict=True), strict=True):
        ax.bar(np.arange(len(sums)) + offset, sums[kind], 0.34, color=colour, label=kinds[kind])
    ax.set_xticks(range(len(sums)), [f"{month:%Y-%m}" for month in sums.index])
    ax.set_xlim(-0.5, max(len(sums), 4) - 0.5)
    ax.axhline(0, color=INK, linewidth=0.8)
    dollar_axis(ax)
    legend(ax)
    return ax


def input_kinds(daily: pd.DataFrame) -> pd.DataFrame:
    """Input tokens of each day by what the cache did with them; days that do not tell are left out."""
    written = daily["cache_write_5m_tokens"].fillna(0) + daily["cache_write_1h_tokens"].fillna(0)
    kinds = {
        "read from cache": daily["cache_read_tokens"],
        "written to cache": written,
        "neither": daily["input_tokens"],
    }
    found = pd.DataFrame(kinds).set_axis(pd.DatetimeIndex(daily["day"])).dropna().astype(float)
    return found[found.sum(axis=1) > 0]


def input_shares(kinds: pd.DataFrame) -> Axes:
    """The shares of what `input_kinds` gives, day by day."""
    ax = canvas("Input tokens by day", is_empty=kinds.empty)
    if kinds.empty:
        return ax
    shares = kinds.div(kinds.sum(axis=1), axis=0)
    floor = pd.Series(0.0, index=shares.index)
    for kind, colour in zip(shares, (BLUE, ORANGE, GREY), strict=True):
        ax.bar(shares.index, shares[kind], 0.9, bottom=floor, color=colour, label=kind)
        floor = floor + shares[kind]
    share_axis(ax, "share of input tokens")
    date_axis(ax, pd.DatetimeIndex(shares.index))
    legend(ax)
    return ax


def cost_spread(costs: pd.Series) -> Axes:
    """How many sessions cost how much, on a scale that grows tenfold; the line is the middle one."""
    known = costs.dropna().astype(float)
    known = known[known > 0]
    title = "" if known.empty else f": half cost less than {dollars(known.median())}"
    ax = canvas(f"Sessions by cost{title}", is_empty=known.empty)
    if known.empty:
        return ax
    low, high = np.floor(np.log10(known.min()) * 2) / 2, np.ceil(np.log10(known.max()) * 2) / 2
    high = max(high, low + 0.5)
    ax.hist(known, bins=np.logspace(low, high, int((high - low) * 10) + 1).tolist(), color=BLUE, edgecolor="white")
    ax.axvline(known.median(), color=RED, linewidth=1.5)
    ax.set_xscale("log")
    dollar_axis(ax, "x", "US dollars a session")
    ax.set_ylabel("sessions")
    return ax


def month_ahead(spend: pd.Series, forecast: Forecast | None, today: date) -> Axes:
    """The month of `today` added up day by day, its forecast, and up to three months before."""
    now = pd.Period(today, "M")
    ax = canvas(f"{now:%B %Y}, added up day by day", is_empty=spend.empty)
    if spend.empty:
        return ax
    for month, line in zip((now - 1, now - 2, now - 3), _BEFORE, strict=True):
        if len(sums := _added_up(spend, month)):
            ax.plot(sums, color="#888888", linewidth=1.2, linestyle=line, label=f"{month:%B}")
    ax.plot(_added_up(spend, now), color=BLUE, linewidth=2.2, label=f"{now:%B}")
    if forecast is not None:
        days = pd.DatetimeIndex(forecast.paths_usd.index).day
        paths = forecast.paths_usd
        ax.fill_between(days, paths.low_usd, paths.high_usd, color=BLUE, alpha=0.18, linewidth=0, label="four of five")
        ax.plot(days, paths.middle_usd, color=BLUE, linestyle="--", label=f"forecast: {dollars(forecast.total_usd)}")
    ax.set(xlim=(0.5, 31.5), ylim=(0, None), xlabel="day of the month")
    dollar_axis(ax)
    legend(ax)
    return ax


def _added_up(spend: pd.Series, month: pd.Period) -> Any:
    """US dollars spent by the end of each day of a month, by day of the month."""
    days = spend[pd.DatetimeIndex(spend.index).to_period("M") == month].fillna(0.0).astype(float).cumsum()
    return days.set_axis(pd.DatetimeIndex(days.index).day)


def forecasts_before(tests: pd.DataFrame, ahead_days: int) -> Axes:
    """What `forecast.backtest` gives: forecasts with their ranges, and what came."""
    ax = canvas("Forecasts, and what came", is_empty=tests.empty)
    if tests.empty:
        return ax
    ax.fill_between(tests.day, tests.low_usd, tests.high_usd, color=BLUE, alpha=0.18, linewidth=0, label="four of five")
    ax.plot(tests.day, tests.forecast_usd, color=BLUE, linestyle="--", label="forecast")
    ax.plot(tests.day, tests.actual_usd, "o", color=INK, markersize=3.5, label="what came")
    ax.set_ylim(0)
    dollar_axis(ax, title=f"US dollars in {ahead_days} days")
    date_axis(ax, pd.DatetimeIndex(tests.day))
    legend(ax)
    return ax

"""Frames → charts and tables that people can read: the few forms that our notebooks share. An empty frame is said so.

Colours are those of Okabe and Ito, which can be told apart without seeing red or green. Names come from outside, so
they are cut, made printable, and never read as markup.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FuncFormatter, PercentFormatter

from ccostdb.kinds import kind_of
from ccostdb.words import printable
from ccostdb.written import UNKNOWN, form_of, usd, usd_tick

BLUE, ORANGE, GREEN, RED, SKY, PINK = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7"
GREY, INK = "#b3b3b3", "#333333"
SERIES = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
NOTHING = "Nothing was recorded in this time."
MOST_DAYS = 120  # as bars of a day; of more, the bars are weeks
_LOOK: dict[Any, Any] = {
    "figure.figsize": (10, 3.6),
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # a name may hold two dollar signs
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e8e8e8",
    "xtick.color": INK,
    "ytick.color": INK,
    "ytick.left": False,
    "legend.frameon": False,
}


def style() -> None:
    """Makes all charts of this process look like ours."""
    plt.rcParams.update(_LOOK)


def dollars(amount: float) -> str:
    """US dollars as pages write them: $1,234.56, $0.0042."""
    return usd(amount * 1e9)


def label(name: Any, width: int = 36) -> str:
    """A name in one printable line: of a long path the end, of other long names the beginning."""
    if pd.isna(name):
        return "not named"
    text = printable(str(name))
    if len(text) <= width:
        return text
    return f"…{text[1 - width :]}" if "/" in text else f"{text[: width - 1]}…"


def canvas(title: str, *, is_empty: bool = False, height: float = 3.6) -> Axes:
    """A figure with one chart in it; an empty one says so."""
    _, ax = plt.subplots(figsize=(10, height if not is_empty else 1.2))
    ax.set_title(title)
    if is_empty:
        ax.text(0.5, 0.5, NOTHING, ha="center", va="center", transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return ax


def _tick(amount: float, _: int | None = None) -> str:
    return usd_tick(amount)


def dollar_axis(ax: Axes, which: str = "y", title: str = "US dollars") -> None:
    """Marks an axis as money; cents only where the numbers need them."""
    axis = ax.yaxis if which == "y" else ax.xaxis
    axis.set_major_formatter(FuncFormatter(_tick))
    axis.set_label_text(title)


def date_axis(ax: Axes, days: pd.DatetimeIndex) -> None:
    """Marks the lower axis as days, each year and month named once; a week is the least it shows."""
    last = max(days.max(), days.min() + pd.Timedelta(days=6))
    ax.set_xlim(days.min() - pd.Timedelta(days=1), last + pd.Timedelta(days=1))
    locator = AutoDateLocator(minticks=3, maxticks=10)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def share_axis(ax: Axes, title: str) -> None:
    """Marks the left axis as shares from 0 to 100 %."""
    ax.set_ylim(0, 1)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.yaxis.set_label_text(title)


def legend(ax: Axes) -> None:
    """Names the series, to the right of the chart: it hides nothing there."""
    for text in ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0)).get_texts():
        text.set_text(text.get_text().strip())


def stacked(frame: pd.DataFrame, by: str, title: str, *, value: str = "cost_usd", top: int = 5) -> Axes:
    """Bars of a day each (of a week where there are many), parted by the `top` largest values of column `by`."""
    known = frame[frame[value].notna()]
    unit = "week" if known["day"].nunique() > MOST_DAYS else "day"
    ax = canvas(f"{title}, by {unit}", is_empty=known.empty)
    if known.empty:
        return ax
    names = known[by].map(label, na_action=None)
    largest = known[value].groupby(names).sum().nlargest(top).index
    parts = names.where(names.isin(largest), "all other")
    sums = known.assign(part=parts).pivot_table(index="day", columns="part", values=value, aggfunc="sum")
    sums = sums.astype(float).reindex(pd.date_range(sums.index.min(), sums.index.max()), fill_value=0.0).fillna(0.0)
    if unit == "week":
        sums = sums.resample("W-MON", label="left", closed="left").sum()
    floor = pd.Series(0.0, index=sums.index)
    for number, part in enumerate([name for name in (*largest, "all other") if name in sums]):
        colour = GREY if part == "all other" else SERIES[number % len(SERIES)]
        width = 0.85 if unit == "day" else 6.0
        ax.bar(sums.index, sums[part], width, bottom=floor, color=colour, label=f" {part}")  # _ would hide it
        floor = floor + sums[part]
    dollar_axis(ax) if value.endswith("_usd") else ax.set_ylabel(value.replace("_", " "))
    date_axis(ax, pd.DatetimeIndex(sums.index))
    legend(ax)
    return ax


def ranked(frame: pd.DataFrame, name: str, title: str, *, value: str = "cost_usd", top: int = 10) -> Axes:
    """Lying bars with their sums, the largest first; what is below 0 has the colour of a loss."""
    known = frame[frame[value].notna()]
    shown = known.loc[known[value].abs().nlargest(top).index].sort_values(value)
    ax = canvas(title, is_empty=shown.empty, height=1.0 + 0.34 * len(shown))
    if shown.empty:
        return ax
    amounts = shown[value].astype(float).tolist()
    bars = ax.barh(range(len(shown)), amounts, color=[RED if amount < 0 else BLUE for amount in amounts], height=0.7)
    ax.bar_label(bars, [dollars(amount) for amount in amounts], padding=4)
    ax.set_yticks(range(len(shown)), [label(each) for each in shown[name]])
    ax.margins(x=0.12)
    ax.grid(visible=False)
    ax.tick_params(bottom=False, labelbottom=False)
    ax.spines["bottom"].set_visible(False)
    return ax


def week_map(hourly: pd.DataFrame, title: str) -> Axes:
    """What each hour of the week cost on the whole: `hourly` is the frame `hourly_costs`."""
    known = hourly[hourly["cost_usd"].notna()]
    ax = canvas(title, is_empty=known.empty, height=2.9)
    if known.empty:
        return ax
    times = known["hour"].dt
    sums = known["cost_usd"].astype(float).groupby([times.day_of_week.rename("weekday"), times.hour.rename("at")]).sum()
    grid = sums.unstack().reindex(index=range(7), columns=range(24)).fillna(0.0)
    mesh = ax.pcolormesh(grid.to_numpy(), cmap="Blues", vmin=0, edgecolors="white", linewidth=1.5)
    ax.set_yticks([day + 0.5 for day in range(7)], ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
    ax.set_xticks([hour + 0.5 for hour in range(0, 24, 3)], [f"{hour}:00" for hour in range(0, 24, 3)])
    ax.invert_yaxis()
    ax.grid(visible=False)
    bar = plt.colorbar(mesh, ax=ax, pad=0.01, format=FuncFormatter(_tick))
    bar.outline.set_visible(False)
    return ax


def table(frame: pd.DataFrame, rows: int = 12) -> Any:
    """The first rows as people read them: dollars, separators, percent; – is unknown. Texts are text, never HTML."""
    shown = frame.head(rows).copy()
    forms: dict[str, Callable[[Any], str]] = {}
    left: dict[Any, Any] = {}
    for name, dtype in shown.dtypes.items():
        heading = str(name).replace("_usd", "").replace("_", " ")
        if dtype == "string":
            shown[name] = shown[name].map(label, na_action="ignore")
            left[heading] = [{"selector": "", "props": "text-align: left"}]
        else:
            forms[heading] = _form(str(name), shown[name])
        shown = shown.rename(columns={name: heading})
    styled = shown.style.format(forms, na_rep=UNKNOWN, escape="html").hide(axis="index")
    return styled.set_table_attributes('class="tex2jax_ignore mathjax_ignore"').set_table_styles(left)


def _form(name: str, values: pd.Series) -> Callable[[Any], str]:
    kind = kind_of(name)
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        form = "%Y-%m" if kind == "month" else "%Y-%m-%d" if kind in ("day", "week") else "%Y-%m-%d %H:%M"
        return lambda time: str(time.strftime(form))
    if not pd.api.types.is_numeric_dtype(values.dtype):
        return str
    return form_of("number" if kind == "text" else kind, values.dropna().tolist())

"""Numbers → charts as SVG: bars over days, lines over a day, shares of a whole. Pure; looks come from the CSS alone.

No text is taken as markup, and no attribute holds a style, which the pages' policy would refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log10

from markupsafe import Markup, escape

from ccostdb.written import usd_tick

# In a chart's own units, which are pixels where it is as wide as its page has room for.
HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 200.0, 46.0, 6.0, 12.0, 24.0
LETTER = 7.0  # the width of a letter of an axis
WIDTHS = {"wide": 560.0, "narrow": 328.0}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. `tick`: what stands under it, '' for nothing; `told`: what a pointer is told. value None: unknown."""

    value: float | None
    told: str
    tick: str = ""
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """Points from the left (0.0) to the right (1.0), and their heights. `name` is its class."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Chart:
    """What a chart is called, and what it says to who does not see it."""

    key: str  # of its ids: letters
    title: str
    description: str


def bars(chart: Chart, series: Sequence[Bar]) -> Markup:
    """One bar each from left to right, in dollars; wide, and once more for a narrow page."""
    most = max((bar.value for bar in series if bar.value), default=0.0)

    def inside(width: float) -> str:
        scale, drawn = _axis(most, width)
        step = (width - LEFT - RIGHT) / max(1, len(series))
        for number, bar in enumerate(series):
            drawn += _bar(bar, LEFT + number * step, step, scale)
        return drawn + _ticks([(LEFT + (at + 0.5) * step, bar.tick) for at, bar in enumerate(series)], width)

    return _both(chart, inside)


def lines(chart: Chart, series: Sequence[Line], ticks: Sequence[tuple[float, str]]) -> Markup:
    """Lines over the same axes, in dollars; the last has its end marked, and lies above the others."""
    most = max((height for line in series for _, height in line.points), default=0.0)

    def inside(width: float) -> str:
        scale, drawn = _axis(most, width)
        room = width - LEFT - RIGHT
        for line in series:
            placed = [(LEFT + right * room, scale(height)) for right, height in line.points]
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
            drawn += f'<path class="line {escape(line.name)}" d="M{path}"/>' if placed else ""
            if placed and line is series[-1]:
                drawn += f'<circle class="end" cx="{placed[-1][0]:.1f}" cy="{placed[-1][1]:.1f}" r="4"/>'
        return drawn + _ticks([(LEFT + right * room, text) for right, text in ticks], width)

    return _both(chart, inside)


def share_bar(share: float | None, mark: float | None = None) -> Markup:
    """A thin bar, filled by a share from 0 to 1, with a mark at another. It repeats a number that stands beside it."""
    filled = 100 * min(1.0, max(0.0, share or 0.0))
    drawn = '<rect class="track" width="100" height="6"/>'
    drawn += f'<rect class="part" width="{filled:.2f}" height="6"/>'
    if mark is not None:
        drawn += f'<rect class="mark" x="{min(99.5, 100 * mark):.2f}" width="0.5" height="6"/>'
    return Markup(f'<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>')


def nice_step(most: float, parts: int = 3) -> float:
    """The round step (1, 2, 2.5 or 5 of some power of ten) of which `parts` reach `most`, or a little more."""
    if most <= 0:
        return 1.0
    power = 10.0 ** floor(log10(most / parts))
    return next((power * factor for factor in (1, 2, 2.5, 5) if power * factor * parts >= most), power * 10)


def _axis(most: float, width: float) -> tuple[_Scale, str]:
    """Where a value is drawn, and the lines and labels of round values."""
    step = nice_step(most)
    scale = _Scale(step * 3)
    drawn = ""
    for number in range(4):
        y = scale(step * number)
        kind = "base" if number == 0 else "grid"
        drawn += f'<path class="{kind}" d="M{LEFT:.1f} {y:.1f}H{width - RIGHT:.1f}"/>'
        drawn += f'<text class="tick value" x="{LEFT - 8:.1f}" y="{y + 4:.1f}">{escape(usd_tick(step * number))}</text>'
    return scale, drawn


@dataclass(frozen=True, slots=True)
class _Scale:
    top: float

    def __call__(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.top


def _bar(bar: Bar, left: float, step: float, scale: _Scale) -> str:
    """The bar, and over it a transparent one as high as the chart, for the pointer."""
    gap = min(4.0, step * 0.28)
    base = scale(0)
    drawn = f"<g><title>{escape(bar.told)}</title>"
    drawn += f'<rect class="hover" x="{left:.1f}" y="{TOP}" width="{step:.1f}" height="{base - TOP:.1f}"/>'
    if bar.value:
        top = min(scale(bar.value), base - 1.5)
        name = "bar marked" if bar.is_marked else "bar"
        radius = min(2.5, (step - gap) / 2, base - top)
        drawn += f'<path class="{name}" d="{_rounded(left + gap / 2, top, step - gap, base, radius)}"/>'
    elif bar.value is None:
        drawn += f'<text class="tick" x="{left + step / 2:.1f}" y="{base - 4:.1f}">?</text>'
    return drawn + "</g>"


def _rounded(left: float, top: float, width: float, base: float, radius: float) -> str:
    """A bar whose two upper corners are round."""
    corner = f"q0 {-radius:.1f} {radius:.1f} {-radius:.1f}"
    other = f"q{radius:.1f} 0 {radius:.1f} {radius:.1f}"
    return f"M{left:.1f} {base:.1f}V{top + radius:.1f}{corner}h{width - 2 * radius:.1f}{other}V{base:.1f}z"


def _ticks(placed: Sequence[tuple[float, str]], width: float) -> str:
    """The texts under an axis, as many as have room, the last rather than the one before it."""
    drawn, right_edge = "", width + LETTER
    for x, text in reversed(placed):
        half = len(text) * LETTER / 2
        at = min(max(x, LEFT - 20 + half), width - half)
        if text and at + half + LETTER <= right_edge:
            drawn = f'<text class="tick" x="{at:.1f}" y="{HEIGHT - 6:.1f}">{escape(text)}</text>{drawn}'
            right_edge = at - half
    return drawn


def _both(chart: Chart, inside: Callable[[float], str]) -> Markup:
    """The chart for wide and for narrow pages: the CSS shows one of them."""
    drawn = ""
    for kind, width in WIDTHS.items():
        ids = f"{chart.key}-{kind}"
        drawn += (
            f'<svg class="chart {kind}" viewBox="0 0 {width:.0f} {HEIGHT:.0f}" role="img" '
            f'aria-labelledby="{ids}-title {ids}-desc">'
            f'<title id="{ids}-title">{escape(chart.title)}</title>'
            f'<desc id="{ids}-desc">{escape(chart.description)}</desc>{inside(width)}</svg>'
        )
    return Markup(drawn)

"""Charts of the home page: what they draw, and what they say to who does not see them."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccostdb.datasette_plugin.svg import WIDTHS, Bar, Chart, Line, bars, lines, nice_step, share_bar

HOSTILE = "</title><script>alert('x')</script>\"&\u202e"
CHART = Chart("days", "Spending", "From Monday to Sunday")
SVG = "{http://www.w3.org/2000/svg}"


def drawn(markup: str) -> list[ElementTree.Element]:
    """The charts of a markup, which must be well-formed."""
    root = ElementTree.fromstring(f'<div xmlns="http://www.w3.org/2000/svg">{markup}</div>')
    return list(root)


def heights(chart: ElementTree.Element) -> list[float]:
    """How high each bar is, from its path: the base less the top."""
    paths = [each.get("d", "") for each in chart.iter(f"{SVG}path") if "bar" in (each.get("class") or "")]
    tops = [[float(each) for each in re.findall(r"V([\d.]+)", path)] for path in paths]
    bases = [float(re.findall(r"M[\d.]+ ([\d.]+)", path)[0]) for path in paths]
    radii = [float(re.findall(r"q0 -([\d.]+)", path)[0]) for path in paths]
    return [base - (top[0] - radius) for base, top, radius in zip(bases, tops, radii, strict=True)]


def test_a_chart_is_an_image_with_a_name_and_a_description_once_for_each_width() -> None:
    charts = drawn(bars(CHART, [Bar(1.0, "Monday: $1.00")]))
    assert [each.get("viewBox") for each in charts] == [f"0 0 {width:.0f} 200" for width in WIDTHS.values()]
    ids = [each.get("id") for chart in charts for each in chart.iter() if each.get("id")]
    assert len(ids) == len(set(ids)) == 4
    for chart in charts:
        assert chart.get("role") == "img"
        title, description = (chart.get("aria-labelledby") or "").split()
        texts = {each.get("id"): each.text for each in chart.iter() if each.get("id")}
        assert (texts[title], texts[description]) == ("Spending", "From Monday to Sunday")


def test_bars_are_as_high_as_their_values_and_what_is_unknown_is_no_bar() -> None:
    wide = drawn(bars(CHART, [Bar(20.0, "a"), Bar(10.0, "b"), Bar(0.0, "c"), Bar(None, "d"), Bar(5.0, "e")]))[0]
    one, half, quarter = heights(wide)
    assert one / half == pytest.approx(2, rel=0.02)
    assert one / quarter == pytest.approx(4, rel=0.04)
    assert [each.text for each in wide.iter(f"{SVG}text") if each.text == "?"] == ["?"]
    assert [each[0].text for each in wide.iter(f"{SVG}g")] == ["a", "b", "c", "d", "e"]


def test_no_text_is_markup_and_no_attribute_is_a_style_or_runs() -> None:
    markup = bars(Chart("x", HOSTILE, HOSTILE), [Bar(1.0, HOSTILE, HOSTILE)])
    markup += lines(Chart("y", HOSTILE, HOSTILE), [Line('"x', [(0, 0), (1, 1)])], [(0.5, HOSTILE)])
    names = {name for chart in drawn(markup) for each in chart.iter() for name in each.attrib}
    assert "style" not in names
    assert not [each for each in names if each.startswith("on")]
    assert "<script" not in markup


def test_a_line_goes_through_its_points_and_the_last_has_an_end() -> None:
    wide = drawn(lines(CHART, [Line("before", [(0, 0), (1, 10)]), Line("now", [(0, 0), (0.5, 30)])], []))[0]
    paths = {each.get("class"): each.get("d") for each in wide.iter(f"{SVG}path")}
    assert paths["line before"] == "M46.0 176.0L554.0 121.3"
    assert paths["line now"] == "M46.0 176.0L300.0 12.0"
    (end,) = wide.iter(f"{SVG}circle")
    assert (end.get("cx"), end.get("cy")) == ("300.0", "12.0")


def test_nothing_spent_is_still_a_chart() -> None:
    for markup in (bars(CHART, []), bars(CHART, [Bar(0.0, "none")]), lines(CHART, [Line("now", [(0, 0)])], [])):
        assert len(drawn(markup)) == 2


@given(st.floats(1e-9, 1e9))
def test_an_axis_ends_at_a_round_value_just_above_the_highest(most: float) -> None:
    step = nice_step(most)
    assert most <= step * 3 * 1.000001
    assert step * 3 <= most * 3.4


@given(st.lists(st.text("abc 0123456789", max_size=12), max_size=40))
def test_texts_of_an_axis_never_lie_over_each_other(texts: list[str]) -> None:
    for chart in drawn(bars(CHART, [Bar(1.0, "", text) for text in texts])):
        ticks = [each for each in chart.iter(f"{SVG}text") if each.get("class") == "tick"]
        places = [(float(each.get("x") or 0), len(each.text or "") * 3.5) for each in ticks]
        assert all(x + half <= other - other_half + 0.1 for (x, half), (other, other_half) in pairwise(places))


def test_a_share_is_a_bar_that_never_leaves_its_track() -> None:
    for share, width in ((None, 0.0), (-0.5, 0.0), (0.25, 25.0), (3.85, 100.0)):
        (chart,) = drawn(share_bar(share, mark=1.5))
        parts = {each.get("class"): each for each in chart.iter(f"{SVG}rect")}
        assert float(parts["part"].get("width") or -1) == width
        assert float(parts["mark"].get("x") or -1) <= 99.5
        assert chart.get("aria-hidden") == "true"

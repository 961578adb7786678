"""What the panels of `top` are made of: columns, bars, tiers."""

from __future__ import annotations

import pytest
from rich.text import Text

from ccostdb.reports.spending import Share
from ccostdb.tui.bars import bar, sparkline
from ccostdb.tui.columns import Cell, Column, lay_out
from ccostdb.tui.tiers import by_tier, tier_of

OPUS = "claude-opus-4-5"


def test_a_column_that_has_no_room_gives_way_and_one_that_says_nothing_gives_way_first() -> None:
    columns = [
        Column("Model", is_number=False, least=6, is_stretched=True),
        Column("Calls", rank=1),
        Column("Out", rank=2),
    ]
    columns.append(Column("Cost"))
    rows = [[Cell("claude-opus"), Cell("–"), Cell("7"), Cell("$1.00")]]
    for width, heading in ((40, "Calls"), (22, "Out"), (16, "Model")):
        said, lines = lay_out(columns, rows, width)
        assert heading in said
        assert {len(said), *map(len, lines)} == {width}
    assert "Calls" not in lay_out(columns, rows, 22)[0]
    assert lay_out(columns, rows, 16)[1][0].plain == "claude-o…  $1.00"
    assert isinstance(lay_out(columns, rows, 16)[1][0], Text)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([sparkline([0, 1, 8], 3), sparkline([1, 0, 0, 8, 8], 2), sparkline([], 5)], ["·▁█", "▁█", ""]),
        ([bar(0.5, 4), bar(0.001, 4), bar(None, 4), bar(7, 2)], ["━━", "╸", "", "━━"]),
    ],
)  # fmt: skip
def test_bars_fit_and_what_is_more_than_nothing_is_seen(said: list[str], expected: list[str]) -> None:
    assert said == expected


def test_a_tier_is_told_by_the_models_name() -> None:
    names = (OPUS, "us.anthropic.Claude-SONNET-4", "claude-3-haiku", "gpt-5", None)
    assert [tier_of(name) for name in names] == ["Opus", "Sonnet", "Haiku", "Other", "Other"]
    shares = [Share(OPUS, 0.5, 1, 1, None, None, 7), Share("opus-x", None, 2, 0, 3, -1, None)]
    ((total, models),) = by_tier(shares)
    assert total == Share("Opus", 0.5, 3, 1, 3, -1, 7)
    assert models == shares

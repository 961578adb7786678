"""What the panels of `top` are made of: columns, figures, tiers."""

from __future__ import annotations

import pytest
from rich.text import Text

from ccostdb.reports.spending import Share
from ccostdb.tui.columns import Cell, Column, lay_out
from ccostdb.tui.figures import age, bar, change, money, rate, share, sparkline, tokens
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
        ([money(None), money(0), money(1), money(-1_500_000_000), money(123_456_000_000_000)],
         ["–", "$0", "<$0.01", "-$1.50", "$123k"]),
        ([money(21_060_000, 0.0001), money(1, 0.0001)], ["$0.0211", "<$0.0001"]),
        ([tokens(None), tokens(9_999), tokens(10_000), tokens(999_999), tokens(4_567_890)],
         ["–", "9,999", "10.0k", "1.00M", "4.57M"]),
        ([share(None), share(0.001), share(0.876)], ["–", "<1 %", "88 %"]),
        ([change(3, 2), change(None, 2), change(2, 0), change(30, 1)], ["+50 %", "–", "–", "×30"]),
        ([rate(0), rate(0.25), rate(4.21), rate(118.4)], ["0", "0.25", "4.2", "118"]),
        ([age(None), age(-3), age(59), age(61), age(7200), age(200_000)], ["–", "0 s", "59 s", "1 min", "2 h", "2 d"]),
        ([sparkline([0, 1, 8], 3), sparkline([1, 0, 0, 8, 8], 2), sparkline([], 5)], ["·▁█", "▁█", ""]),
        ([bar(0.5, 4), bar(0.001, 4), bar(None, 4), bar(7, 2)], ["━━", "╸", "", "━━"]),
    ],
)  # fmt: skip
def test_figures_are_short_and_the_unknown_is_never_nought(said: list[str], expected: list[str]) -> None:
    assert said == expected


def test_a_tier_is_told_by_the_models_name() -> None:
    names = (OPUS, "us.anthropic.Claude-SONNET-4", "claude-3-haiku", "gpt-5", None)
    assert [tier_of(name) for name in names] == ["Opus", "Sonnet", "Haiku", "Other", "Other"]
    shares = [Share(OPUS, 0.5, 1, 1, None, None, 7), Share("opus-x", None, 2, 0, 3, -1, None)]
    ((total, models),) = by_tier(shares)
    assert total == Share("Opus", 0.5, 3, 1, 3, -1, 7)
    assert models == shares

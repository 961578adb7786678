"""What is shown over the panels: the help, or all of one call. Any of the usual keys closes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ccostdb.tui.palette import ACCENT, TEXT

KEYS = {
    "Tab, 1 to 4": "go to a panel; arrows move in it",
    "z": "show one panel alone, or all again",
    "Enter": "all that is known of a call",
    "/": "list only calls with these words",
    "p": "models of today, this week, this month, the last",
    "s": "sort models by cost, calls, savings or tokens",
    "Space": "hold still, or go on",
    "q": "quit",
}
MEANINGS = {
    "": "",
    "ev/s": "events a second, over the last minute",
    "vs last": "the day, week, month before, up to this time",
    "Pace": "the hour as the last one, the rest as until now",
    "Saved": "by prompt caching, less what the writes cost",
    "Cached": "share of the input that was read from a cache",
    "Read, Written": "tokens from and into a cache",
    "+": "and calls without a price, which are in no cost",
    "not counted": "in no total: transcripts show the same spend",
}


class Overlay(ModalScreen[None]):
    """Words and what they mean, in a frame."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark,space", "dismiss", "Close", show=False)
    ]

    def __init__(self, title: str, *parts: Mapping[str, str]) -> None:
        super().__init__()
        self._title, self._parts = title, parts

    def compose(self) -> ComposeResult:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        for part in self._parts:
            for word, meaning in part.items():
                grid.add_row(Text(word, f"bold {ACCENT}"), Text(meaning, TEXT))
        with VerticalScroll() as frame:
            frame.border_title, frame.border_subtitle = self._title, "Esc closes"
            yield Static(grid)

"""`ccostdb top`: snapshots of a thread → four panels. No query ever runs in the thread that draws."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Footer, Input, Static

from ccostdb.clock import SECOND_NS
from ccostdb.reports.spending import PERIODS
from ccostdb.settings import Settings
from ccostdb.tui.cost import cost_lines
from ccostdb.tui.live import live_lines
from ccostdb.tui.models import SORTS, model_lines, saved_text
from ccostdb.tui.overlay import KEYS, MEANINGS, Overlay
from ccostdb.tui.palette import ACCENT, QUIET, TEXT, WARNING
from ccostdb.tui.panels import LinesPanel, TablePanel
from ccostdb.tui.reading import Reader, Snapshot
from ccostdb.tui.recent import call_words, matching, recent_lines
from ccostdb.words import printable

LOOK_S = 1.0
PANELS = ("live", "cost", "models", "recent")


class Top(App[None]):
    """The dashboard of one ledger, which exists when it starts."""

    CSS_PATH = "top.tcss"
    TITLE = "ccostdb top"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_IN_MAXIMIZED_VIEW = "Footer, #head"
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (76, "-normal"), (160, "-wide")]  # noqa: RUF012 - as App declares them
    VERTICAL_BREAKPOINTS = [(0, "-low"), (34, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("p", "period", "Period"),
        Binding("s", "sort", "Sort"),
        Binding("slash", "search", "Find", key_display="/"),
        Binding("z", "zoom", "Zoom"),
        Binding("space", "hold", "Hold"),
        Binding("escape", "leave", show=False),
        Binding("ctrl+c", "quit", show=False, priority=True),
        *(Binding(str(number), f"go({number - 1})", show=False) for number in range(1, 5)),
    ]

    def __init__(self, settings: Settings, now_ns: Callable[[], int] = time.time_ns) -> None:
        super().__init__()
        self._now_ns, self._db = now_ns, settings.db
        self._reader = Reader(settings)
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._woken = asyncio.Event()
        self._snapshot = Snapshot(0)
        self._period, self._sort, self._search = next(iter(PERIODS)), next(iter(SORTS)), ""
        self._is_held = False

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Static(id="trouble")
        with Container(id="panels"):
            yield LinesPanel("1 Live", "live")
            yield LinesPanel("2 Cost", "cost")
            yield TablePanel("3 Models", "models")
            with TablePanel("4 Recent calls", "recent"):
                yield Input(placeholder="words of a call; Esc lists all", id="search", compact=True)
        yield Footer()

    def on_mount(self) -> None:
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            with suppress(NotImplementedError):  # Windows
                asyncio.get_running_loop().add_signal_handler(number, self.exit)  # the terminal is left as it was
        self.action_go(3)
        self._watch()

    @work
    async def _watch(self) -> None:
        """Looks, shows, waits; again until the end."""
        loop = asyncio.get_running_loop()
        while True:
            self._woken.clear()
            look = partial(self._reader.look, self._now_ns(), self._period)
            snapshot = await loop.run_in_executor(self._thread, look)
            if not self._is_held:
                self._snapshot = snapshot
                self._show()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), LOOK_S)

    async def on_unmount(self) -> None:
        self._reader.interrupt()
        self._thread.submit(self._reader.close)
        self._thread.shutdown(wait=True)

    def _show(self) -> None:
        snapshot = self._snapshot
        is_ending = not self.query("#head")  # its widgets go before what looks does
        if is_ending or self.screen is not self.screen_stack[0] or not snapshot.now_ns:
            return
        self._show_head()
        trouble = self.query_one("#trouble", Static)
        if trouble.set_class(snapshot.trouble is not None, "is-on").has_class("is-on"):
            trouble.update(Text(printable(snapshot.trouble or "")))
        self.query_one("#live", LinesPanel).put(partial(live_lines, snapshot))
        self.query_one("#cost", LinesPanel).put(partial(cost_lines, snapshot.sums))
        if snapshot.sums:
            self._show_tables()

    def _show_head(self) -> None:
        sums, width = self._snapshot.sums, self.size.width - 2
        zone = sums.spending.zone if sums else None
        now = datetime.fromtimestamp(self._snapshot.now_ns / SECOND_NS, zone)
        right = ("held  " if self._is_held else "") + f"{now:%H:%M:%S} {zone.key if zone else ''}".rstrip()
        place = printable(str(self._db))
        room = width - len("ccostdb top  ") - len(right) - 2
        place = place if len(place) <= room else "…" + place[-max(1, room - 1) :]
        gap = " " * max(1, width - len("ccostdb top  ") - len(place) - len(right))
        colour = WARNING if self._is_held else TEXT
        said = Text.assemble(("ccostdb top  ", f"bold {ACCENT}"), (place, QUIET), gap, (right, colour), no_wrap=True)
        self.query_one("#head", Static).update(said)

    def _show_tables(self) -> None:
        sums = self._snapshot.sums
        assert sums is not None
        models, recent = self.query_one("#models", TablePanel), self.query_one("#recent", TablePanel)
        models.border_title = f"3 Models: {PERIODS[sums.period]}, by {self._sort}"
        models.border_subtitle = saved_text(sums)
        models.put(partial(model_lines, sums, self._sort), sums, self._sort)
        now, listed, zone = self._snapshot.now_ns, self._snapshot.recent, sums.spending.zone
        calls = matching(listed, self._search)
        recent.border_title = "4 Recent calls" + (f": {len(calls)} of {len(listed)} found" if self._search else "")
        day = datetime.fromtimestamp(now / SECOND_NS, zone).date()
        recent.put(partial(recent_lines, calls, zone, day), listed, self._search, zone, day)

    def action_go(self, number: int) -> None:
        """Moves to a panel."""
        panel = self.query_one(f"#{PANELS[number]}")
        self.screen.set_focus(panel.table if isinstance(panel, TablePanel) else panel)  # at once: keys may follow

    def action_period(self) -> None:
        """Breaks the next period down."""
        self._period = _next(PERIODS, self._period)
        self._woken.set()

    def action_sort(self) -> None:
        """Sorts models by the next thing."""
        self._sort = _next(SORTS, self._sort)
        self._show()

    def action_hold(self) -> None:
        """Stops showing what is new, or shows it again."""
        self._is_held = not self._is_held
        self._show_head()
        self._woken.set()

    def action_zoom(self) -> None:
        """Shows one panel alone, or all again."""
        if self.screen.maximized:
            self.screen.minimize()
        else:
            self.screen.action_maximize()

    def action_help(self) -> None:
        """Says what keys and columns mean."""
        self.push_screen(Overlay("Help", KEYS, MEANINGS))

    def action_search(self) -> None:
        """Asks for words."""
        search, recent = self.query_one("#search", Input), self.query_one("#recent", TablePanel)
        if self.screen.maximized is not recent:
            self.screen.minimize()
        search.display = True
        self.screen.set_focus(search)

    def action_leave(self) -> None:
        """Leaves the search, or the panel that is shown alone."""
        search = self.query_one("#search", Input)
        if search.display:
            self._search = search.value = ""
            self._close_search()
        else:
            self.screen.minimize()

    def _close_search(self) -> None:
        self.query_one("#search", Input).display = bool(self._search)
        self.action_go(3)

    @on(Input.Changed)
    def _find(self, event: Input.Changed) -> None:
        self._search = event.value.strip()
        self._show()

    @on(Input.Submitted)
    def _found(self) -> None:
        self._close_search()

    @on(TablePanel.Chosen)
    def _tell(self, event: TablePanel.Chosen) -> None:
        """All of one call."""
        sums = self._snapshot.sums
        for call in self._snapshot.recent:
            if call["call_id"] == event.key and sums:
                self.push_screen(Overlay("Call", call_words(call, sums.spending.zone)))


def _next(names: Iterable[str], name: str) -> str:
    """The one behind it; behind the last comes the first."""
    listed = list(names)
    return listed[(listed.index(name) + 1) % len(listed)]

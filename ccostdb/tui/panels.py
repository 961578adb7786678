"""The two kinds of panel: lines that scroll, and a table of lines with a cursor. Both change in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.events import Resize
from textual.message import Message
from textual.widgets import DataTable, Static

from ccostdb.tui.models import Listed


class LinesPanel(VerticalScroll):
    """Lines that scroll when there are too many. `make` takes the width and the height that they have."""

    ALLOW_MAXIMIZE = True
    can_focus = True

    def __init__(self, title: str, name: str) -> None:
        super().__init__(id=name)
        self.border_title = title
        self._make: Callable[[int, int], list[Text]] = lambda _, __: []
        self._shown: Text | None = None

    def compose(self) -> ComposeResult:
        yield Static()

    def put(self, make: Callable[[int, int], list[Text]]) -> None:
        """Shows what `make` says, now and whenever the size changes."""
        self._make = make
        size = self.scrollable_content_region.size
        if size.width <= 0:
            return
        lines = Text("\n").join(make(size.width, size.height))
        if self._shown is None or not _is_same(self._shown, lines):
            self._shown = lines
            self.query_one(Static).update(lines)

    @on(Resize)
    def _fit(self) -> None:
        self.put(self._make)


class TablePanel(Vertical):
    """Lines under a heading, of which one is under the cursor. `make` takes the width that they have."""

    ALLOW_MAXIMIZE = True

    class Chosen(Message):
        """Enter was pressed on a line."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, title: str, name: str) -> None:
        super().__init__(id=name)
        self.border_title = title
        self._make: Callable[[int], Listed] = lambda _: Listed("", [], [])
        self._told: tuple[object, ...] = (0,)
        self.shown_keys: Sequence[str] = ()

    def compose(self) -> ComposeResult:
        yield Static(classes="heading")
        table: DataTable[Text] = DataTable(
            show_header=False, cursor_type="row", cell_padding=0, cursor_foreground_priority="renderable"
        )
        yield table

    @property
    def table(self) -> DataTable[Text]:
        return self.query_one(DataTable)

    def put(self, make: Callable[[int], Listed], *told: object) -> None:
        """Shows what `make` says, now and whenever the width changes. Where `told`, of which it is made, and the width
        are the same as before, nothing is to be done. The cursor stays with its line, or at the top."""
        self._make = make
        width = self.table.scrollable_content_region.width
        if width <= 0 or (told and (width, *told) == self._told):
            return
        if width != self._told[0]:
            self.table.clear(columns=True)
            self.table.add_column("", width=width, key="line")
        self._told = (width, *told)
        heading, lines, keys = make(width)
        selected = self.shown_keys[row] if 0 < (row := self.table.cursor_row) < len(self.shown_keys) else None
        self.query_one(".heading", Static).update(Text(heading, no_wrap=True))
        self._put_lines(lines)
        self.shown_keys = keys
        if selected in keys:
            _move(self.table, keys.index(selected))

    def _put_lines(self, lines: Sequence[Text]) -> None:
        table = self.table
        for number, line in enumerate(lines[: table.row_count]):
            if not _is_same(table.get_cell(str(number), "line"), line):
                table.update_cell(str(number), "line", line)
        for number in reversed(range(len(lines), table.row_count)):
            table.remove_row(str(number))
        for number in range(table.row_count, len(lines)):
            table.add_row(lines[number], key=str(number))

    @on(DataTable.RowSelected)
    def _choose(self, event: DataTable.RowSelected) -> None:
        event.stop()
        if 0 <= event.cursor_row < len(self.shown_keys):
            self.post_message(self.Chosen(self.shown_keys[event.cursor_row]))

    @on(Resize)
    def _fit(self) -> None:
        self.call_after_refresh(lambda: self.put(self._make))


def _is_same(one: Text, other: Text) -> bool:
    """Whether two texts look alike: equality of rich's Text leaves out styles."""
    return one.plain == other.plain and one.spans == other.spans and one.style == other.style


def _move(table: DataTable[Text], row: int) -> None:
    """Puts the cursor on a row, at the same height of the panel where that can be."""
    if row != table.cursor_row:
        above = table.cursor_row - table.scroll_offset.y
        table.move_cursor(row=row, animate=False, scroll=False)
        table.scroll_to(y=max(0, row - above), animate=False, force=True)

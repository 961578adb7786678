"""Rows → CSV, JSON and NDJSON, in chunks: some hundred rows, or fewer long ones: nothing is held whole. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from io import StringIO
from json import JSONEncoder

Row = Sequence[object]
Chunks = Callable[[Sequence[str], Iterable[Row]], Iterator[str]]

ROWS_PER_CHUNK = 500
MOST_LETTERS = 8_000_000  # of the texts in rows that are held at once, beside the last of them
# A spreadsheet runs a text cell that begins so (OWASP, "CSV Injection"), full-width forms included.
_RUN_BY_SPREADSHEETS = tuple("=+-@\t\r\n＝＋－＠")
_IS_RUN = re.compile(rf"(?:^|\0)[{re.escape(''.join(_RUN_BY_SPREADSHEETS))}]")
_LONG = (str, bytes)
_NUMBERS = frozenset({int, float, type(None)})
_AS_JSON = JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def csv_chunks(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """CSV with a header. NULL is an empty cell; a text that a spreadsheet would run gets a `'`; bytes are hex."""
    yield _csv([[_csv_cell(name) for name in columns]])
    costs = [place for place, name in enumerate(columns) if name.endswith("_cost")]  # CCO's own columns
    for batch in batches(rows, ROWS_PER_CHUNK):
        safe = _safe(batch)
        yield _csv([_plain(row, costs) for row in safe] if costs else safe)


def json_chunks(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """A list of objects, one a line."""
    start = "["
    for batch in batches(rows, ROWS_PER_CHUNK):
        yield "".join((start, "\n", ",\n".join(_objects(columns, batch))))
        start = ","
    yield "[]\n" if start == "[" else "\n]\n"


def ndjson_chunks(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """One object a line."""
    for batch in batches(rows, ROWS_PER_CHUNK):
        yield "".join(f"{line}\n" for line in _objects(columns, batch))


CHUNKS: dict[str, Chunks] = {"csv": csv_chunks, "json": json_chunks, "ndjson": ndjson_chunks}


def batches(rows: Iterable[Row], most_rows: int) -> Iterator[list[Row]]:
    """The rows in lists of so many; one ends earlier where the texts and bytes in it are long."""
    batch: list[Row] = []
    letters = 0
    for row in rows:
        batch.append(row)
        letters += sum([len(cell) for cell in row if cell.__class__ in _LONG])
        if len(batch) == most_rows or letters > MOST_LETTERS:
            yield batch
            batch, letters = [], 0
    if batch:
        yield batch


def _csv(rows: Sequence[Row]) -> str:
    """Rows that end with \\n. Told to do so itself, Python 3.11's csv leaves a lone \\r in a cell unquoted."""
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    text = out.getvalue()
    return "".join(map(_one_row, rows)) if "\r" in text else text


def _one_row(row: Row) -> str:
    out = StringIO(newline="")
    csv.writer(out).writerow(row)
    return out.getvalue().removesuffix("\r\n") + "\n"


def _safe(batch: list[Row]) -> list[Row]:
    """The rows as a spreadsheet may have them: looked at by column, since few columns hold such a cell."""
    columns: list[Row] = list(zip(*batch, strict=True))
    risky = [place for place, column in enumerate(columns) if _is_risky(column)]
    for place in risky:
        columns[place] = [_csv_cell(value) for value in columns[place]]
    return list(zip(*columns, strict=True)) if risky else batch


def _is_risky(column: Row) -> bool:
    kinds = set(map(type, column))
    if kinds <= _NUMBERS:
        return False
    if kinds <= {str, type(None)}:
        return _IS_RUN.search("\0".join(filter(None, column))) is not None  # type: ignore[arg-type] # texts, by kinds
    return True


def _plain(row: Row, places: Sequence[int]) -> Row:
    """The row with numbers at these places in digits: none as 2e-05."""
    cells = list(row)
    for place in places:
        if isinstance(cells[place], float):
            cells[place] = f"{Decimal(repr(cells[place])):f}"
    return cells


def _csv_cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_RUN_BY_SPREADSHEETS) else value
    return value.hex() if isinstance(value, bytes) else value


def _objects(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        if bytes in map(type, row):
            row = [value.hex() if isinstance(value, bytes) else value for value in row]  # noqa: PLW2901
        yield _AS_JSON(dict(zip(columns, row, strict=True)))

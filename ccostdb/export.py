"""Rows out: any view or named query as CSV, JSON or NDJSON, streamed, as the ledger holds it."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from ccostdb.errors import BadArgument
from ccostdb.resources import sql, sql_names
from ccostdb.words import nearest

# A spreadsheet runs a text cell that begins so (OWASP, "CSV Injection"), full-width forms included.
_RUN_BY_SPREADSHEETS = tuple("=+-@\t\r\n＝＋－＠")

Row = Sequence[object]


def write_csv(columns: Sequence[str], rows: Iterable[Row], out: TextIO) -> None:
    """Writes CSV with a header. NULL is an empty cell; a text that a spreadsheet would run gets a `'`."""
    writer = csv.writer(_UnixLines(out))
    writer.writerow(columns)
    writer.writerows([_csv_cell(value) for value in row] for row in rows)


class _UnixLines:
    """Ends a row with \\n. Told to do so itself, Python 3.11's csv leaves a lone \\r in a cell unquoted."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, row: str) -> None:
        self._out.write(row.removesuffix("\r\n") + "\n")


def _csv_cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_RUN_BY_SPREADSHEETS) else value
    return value.hex() if isinstance(value, bytes) else value


def write_json(columns: Sequence[str], rows: Iterable[Row], out: TextIO) -> None:
    """Writes a list of objects, one a line."""
    start = "["
    for row in rows:
        out.write(f"{start}\n{_json_object(columns, row)}")
        start = ","
    out.write("[]\n" if start == "[" else "\n]\n")


def write_ndjson(columns: Sequence[str], rows: Iterable[Row], out: TextIO) -> None:
    """Writes one object a line."""
    for row in rows:
        out.write(f"{_json_object(columns, row)}\n")


def _json_object(columns: Sequence[str], row: Row) -> str:
    values = (value.hex() if isinstance(value, bytes) else value for value in row)
    return json.dumps(dict(zip(columns, values, strict=True)), ensure_ascii=False, allow_nan=False)


WRITERS: dict[str, Callable[[Sequence[str], Iterable[Row], TextIO], None]] = {
    "csv": write_csv,
    "json": write_json,
    "ndjson": write_ndjson,
}


def select(con: sqlite3.Connection, name: str) -> tuple[list[str], Iterable[Row]]:
    """The columns and every row of the view or query `name`; raises BadArgument if there is none of that name."""
    cursor = con.cursor()
    cursor.row_factory = None
    if name in view_names(con):
        cursor.execute(f'select * from "{name}"')
    elif name in sql_names("queries"):
        cursor.execute(sql(f"queries/{name}.sql"), defaultdict(lambda: None))  # NULL sets no bound
    else:
        known = [*view_names(con), *sql_names("queries")]
        raise BadArgument(f"There is no view or query {name[:80]!r}.", nearest(name, known))
    return [column[0] for column in cursor.description], cursor


def view_names(con: sqlite3.Connection) -> list[str]:
    """The views of this ledger."""
    return [row[0] for row in con.execute("select name from main.sqlite_schema where type = 'view' order by name")]


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """A file, mode 0600, that appears whole as the block ends or not at all. A device is written directly."""
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("w", encoding="utf-8", newline="") as out:
            yield out
        return
    if path.is_dir() or not path.parent.is_dir():
        reason = "it is a folder" if path.is_dir() else "its folder does not exist"
        raise BadArgument(f"{path} cannot be written: {reason}.")
    import tempfile

    handle, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
            yield out
            out.flush()
            os.fsync(handle)
        Path(unfinished).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(unfinished).unlink()
        raise

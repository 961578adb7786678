"""Rows → Parquet, a row group at a time. A column's type is told by its name, else by its first rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, BinaryIO

from ccostdb.errors import CcostError
from ccostdb.export.text import Row, batches
from ccostdb.kinds import kind_of

ROWS_PER_GROUP = 20_000


def require_pyarrow() -> Any:
    """The module pyarrow; CcostError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise CcostError("Parquet needs pyarrow, which is not installed.", "pip install 'ccostdb[parquet]'") from error
    return pyarrow


def write_parquet(columns: Sequence[str], rows: Iterable[Row], out: BinaryIO) -> None:
    """Writes a Parquet file: whole numbers, doubles, booleans, local days, times in UTC, and texts; NULL stays NULL.

    Times end in `_at` and have nanoseconds as their unit, and what digits the text has. Raises CcostError where a
    column holds what its first rows did not let expect.
    """
    pa = require_pyarrow()
    each = batches(rows, ROWS_PER_GROUP)
    batch = next(each, [])
    schema = pa.schema(
        [(name, _type(pa, name, cells)) for name, cells in zip(columns, _cells(columns, batch), strict=True)]
    )
    with pa.parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for group in chain([batch], each):
            arrays = [_array(pa, field, cells) for field, cells in zip(schema, _cells(columns, group), strict=True)]
            writer.write_table(pa.table(arrays, schema=schema))


def _cells(columns: Sequence[str], batch: list[Row]) -> list[Row]:
    """The batch by column."""
    return list(zip(*batch, strict=True)) if batch else [()] * len(columns)


def _type(pa: Any, name: str, cells: Row) -> Any:
    """The type that a name stands for, where the first cells are of it; else what they are, else text."""
    by_name = {
        "moment": pa.timestamp("ns", tz="UTC"),
        "day": pa.date32(),
        "flag": pa.bool_(),
        **dict.fromkeys(("identity", "count"), pa.int64()),
        **dict.fromkeys(("money", "rate", "share", "number"), pa.float64()),
    }.get(kind_of(name))
    kinds = set(map(type, cells)) - {type(None)}
    by_value = {
        frozenset({int}): pa.int64(),
        frozenset({float}): pa.float64(),
        frozenset({int, float}): pa.float64(),
        frozenset({bytes}): pa.binary(),
    }.get(frozenset(kinds), pa.string())
    for found in (by_name, by_value):
        if found is not None and _fits(pa, found, cells):
            return found
    return pa.string()


def _fits(pa: Any, kind: Any, cells: Row) -> bool:
    try:
        _convert(pa, kind, cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True


def _array(pa: Any, field: Any, cells: Row) -> Any:
    try:
        return _convert(pa, field.type, cells)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        message = f"The column {field.name} holds what does not fit its first rows ({field.type})."
        raise CcostError(message, "Export it as csv or ndjson.") from error


def _convert(pa: Any, kind: Any, cells: Row) -> Any:
    """An array of that type; raises ArrowInvalid or ArrowTypeError where a cell is no such thing."""
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pa.array(cells, pa.string()).cast(kind)
    if pa.types.is_boolean(kind):
        return pa.array(cells, pa.int64()).cast(kind)
    if pa.types.is_string(kind):
        return pa.array([cell if cell is None or isinstance(cell, str) else _text(cell) for cell in cells], kind)
    return pa.array(cells, kind)


def _text(cell: object) -> str:
    return cell.hex() if isinstance(cell, bytes) else str(cell)

"""Parquet: types that fit, every row, and nothing but a bounded part of them in memory."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import ccostdb, on_terminal, run_python

from ccostdb.errors import CcostError
from ccostdb.export import names, select
from ccostdb.export.parquet import ROWS_PER_GROUP, write_parquet
from ccostdb.export.text import MOST_LETTERS


def table(columns: list[str], rows: Any) -> pa.Table:
    out = io.BytesIO()
    write_parquet(columns, rows, out)
    return pq.read_table(io.BytesIO(out.getvalue()))


def kinds(read: pa.Table) -> dict[str, str]:
    return {field.name: str(field.type) for field in read.schema}


def test_types_follow_from_names_and_unknown_stays_unknown() -> None:
    columns = ["occurred_at", "day", "cost_usd", "calls", "is_sidechain", "model"]
    told = ("2026-08-12T15:27:45.558Z", "2026-08-12", 1, 2, 1, "claude")
    read = table(columns, [told, (None,) * 6])
    wanted = ["timestamp[ns, tz=UTC]", "date32[day]", "double", "int64", "bool", "string"]
    assert list(kinds(read).values()) == wanted
    moment = datetime(2026, 8, 12, 15, 27, 45, 558_000, tzinfo=UTC)
    assert [column.to_pylist() for column in read.columns] == [
        [moment, None], [date(2026, 8, 12), None], [1.0, None], [2, None], [True, None], ["claude", None],
    ]  # fmt: skip
    assert kinds(table(columns, [])) == kinds(read)


def test_other_names_get_the_type_of_their_first_values() -> None:
    rows = [(1, 1, b"\x00", "a", 1, None), (None, 2.5, None, None, "b", None)]
    read = table(["n", "x", "blob", "text", "mixed", "empty"], rows)
    assert list(kinds(read).values()) == ["int64", "double", "binary", "string", "string", "string"]
    assert read.column("mixed").to_pylist() == ["1", "b"]


def test_a_value_that_does_not_fit_its_name_changes_the_type_and_loses_nothing() -> None:
    read = table(["at", "calls", "share"], [("soon", "many", "half"), ("2026-07-01T00:00:00Z", 1, 0.5)])
    assert [column.to_pylist() for column in read.columns] == [
        ["soon", "2026-07-01T00:00:00Z"], ["many", "1"], ["half", "0.5"],
    ]  # fmt: skip


def test_what_does_not_fit_later_is_a_sentence() -> None:
    rows = [*[(1,)] * ROWS_PER_GROUP, ("one",)]
    with pytest.raises(CcostError, match="The column n holds what does not fit its first rows"):
        table(["n"], rows)


def test_rows_are_written_before_all_of_them_are_read() -> None:
    out = io.BytesIO()

    def rows() -> Iterator[tuple[int]]:
        for number in range(2 * ROWS_PER_GROUP + 1):
            if number == 2 * ROWS_PER_GROUP:
                assert len(out.getvalue()) > 1000
            yield (number * 7919 % 1_000_003,)

    write_parquet(["n"], rows(), out)
    read = pq.ParquetFile(io.BytesIO(out.getvalue()))
    assert [read.metadata.row_group(place).num_rows for place in range(3)] == [ROWS_PER_GROUP, ROWS_PER_GROUP, 1]


@pytest.mark.parametrize("long", ["x" * 60_000, b"x" * 60_000], ids=["texts", "bytes"])
def test_a_row_group_of_long_values_has_few_of_them(long: str | bytes) -> None:
    out = io.BytesIO()
    write_parquet(["payload"], ((long,) for _ in range(1000)), out)
    metadata = pq.ParquetFile(io.BytesIO(out.getvalue())).metadata
    groups = [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)]
    assert sum(groups) == 1000
    assert max(groups) * len(long) < 1.1 * MOST_LETTERS


def test_every_view_and_query_becomes_parquet(week: Path) -> None:
    with closing(sqlite3.connect(week)) as con:
        for name in names(con):
            columns, rows = select(con, name)
            told = list(rows)
            read = table(columns, told)
            assert (read.num_rows, read.column_names) == (len(told), columns)
            for column, kind in kinds(read).items():
                assert not column.endswith("_at") or kind == "timestamp[ns, tz=UTC]", (name, column)
                assert not column.endswith("_usd") or kind == "double", (name, column)


def test_the_command_writes_a_file_by_its_ending_and_a_pipe_if_told(ledger: Path) -> None:
    assert ccostdb("export", "calls", "-o", "calls.parquet", "--since", "2026-07-02").exit_code == 0
    read = pq.read_table("calls.parquet")
    assert read.num_rows == 2
    piped = ccostdb("export", "calls", "--format", "parquet", "--since", "2026-07-02")
    assert pq.read_table(io.BytesIO(piped.stdout_bytes)).equals(read)


def test_a_terminal_gets_no_parquet(ledger: Path) -> None:
    said = on_terminal("export", "calls", "--format", "parquet", "--db", str(ledger))
    assert "Parquet is nothing for a terminal." in said
    assert "PAR1" not in said


def test_without_pyarrow_one_sentence_says_what_to_install(ledger: Path) -> None:
    code = "import sys; sys.modules['pyarrow'] = None; from ccostdb.__main__ import main; main()"
    done = run_python("-c", code, "export", "calls", "-o", "calls.parquet")
    assert done.returncode == 1
    assert done.stderr == ("Error: Parquet needs pyarrow, which is not installed.\npip install 'ccostdb[parquet]'\n")
    assert not Path("calls.parquet").exists()


def test_no_other_export_imports_pyarrow(ledger: Path) -> None:
    code = "import sys; from ccostdb.cli import main; main(standalone_mode=False); assert 'pyarrow' not in sys.modules"
    done = run_python("-c", code, "export", "calls")
    assert (done.returncode, done.stderr) == (0, "")

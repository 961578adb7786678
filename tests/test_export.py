"""What leaves the ledger as CSV, JSON and NDJSON, and how a file appears."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from commands import ccostdb, environment, run_python
from hypothesis import given
from hypothesis import strategies as st
from ledger_rows import add_calls, add_name, add_source, make_ledger

from ccostdb.errors import BadArgument
from ccostdb.export import select, view_names
from ccostdb.export.files import new_file
from ccostdb.export.text import CHUNKS, MOST_LETTERS, ROWS_PER_CHUNK

cells = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[cells] * width)))


def written(form: str, rows: list[tuple[object, ...]], columns: tuple[str, ...]) -> str:
    return "".join(CHUNKS[form](columns, rows))


def export(con: sqlite3.Connection, name: str, form: str, **asked: Any) -> str:
    return "".join(CHUNKS[form](*select(con, name, **asked)))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(make_ledger(tmp_path / "ledger.db")) as con:
        model = add_name(con, "model", "=cmd|' /C calc'!A0")
        source = add_source(con, "claude-code")
        call = {"source_id": source, "model_id": model, "input_tokens": 1, "computed_nusd": -1_500_000_000}
        add_calls(con, [{**call, "call_id": f"c{number}", "occurred_ns": number} for number in range(3)])
        yield con


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "＝1", "-1.5"])
def test_a_text_that_a_spreadsheet_would_run_is_escaped(cell: str) -> None:
    text = written("csv", [(cell,)], ("a",))
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a"], [f"'{cell}"]]


def test_numbers_keep_their_sign_and_unknown_is_an_empty_cell() -> None:
    assert written("csv", [(-1, -0.25, None, "a=b", 0)], tuple("abcde")) == "a,b,c,d,e\n-1,-0.25,,a=b,0\n"


def test_json_without_rows_is_an_empty_list() -> None:
    assert written("json", [], ("a",)) == "[]\n"
    assert written("ndjson", [], ("a",)) == ""


@given(tables)
def test_json_and_ndjson_say_what_the_rows_say(rows: list[tuple[object, ...]]) -> None:
    columns = tuple(f"c{index}" for index in range(len(rows[0]) if rows else 1))
    expected = [dict(zip(columns, row, strict=True)) for row in rows]
    assert json.loads(written("json", rows, columns)) == expected
    lines = written("ndjson", rows, columns).split("\n")
    assert [json.loads(line) for line in lines if line] == expected


@given(tables)
def test_csv_read_back_has_every_cell_and_nothing_that_runs(rows: list[tuple[object, ...]]) -> None:
    columns = tuple(f"c{index}" for index in range(len(rows[0]) if rows else 1))
    read = list(csv.reader(io.StringIO(written("csv", rows, columns), newline="")))[1:]
    assert len(read) == len(rows)
    for was, now in zip(rows, read, strict=True):
        for cell, text in zip(was, now, strict=True):
            if isinstance(cell, str):
                assert text in (cell, f"'{cell}")
                assert not text.startswith(("=", "+", "-", "@", "\t", "\r"))
            else:
                assert text == ("" if cell is None else repr(cell))


@pytest.mark.parametrize("form", list(CHUNKS))
def test_every_view_can_be_exported(ledger: sqlite3.Connection, form: str) -> None:
    for name in view_names(ledger):
        export(ledger, name, form)


def test_an_export_has_every_row_of_the_view_with_its_columns(ledger: sqlite3.Connection) -> None:
    rows = [json.loads(line) for line in export(ledger, "calls", "ndjson").splitlines()]
    assert [row["call_id"] for row in rows] == ["c0", "c1", "c2"]
    assert rows[0]["cost_usd"] == -1.5
    assert list(rows[0]) == [column[0] for column in ledger.execute("select * from calls").description]


def test_a_model_name_cannot_smuggle_a_formula_into_a_spreadsheet(ledger: sqlite3.Connection) -> None:
    assert export(ledger, "model_costs", "csv").splitlines()[1].startswith("'=cmd|")


def test_a_question_exports_with_every_bound_open(ledger: sqlite3.Connection) -> None:
    found = json.loads(export(ledger, "calls_of", "json"))
    assert [row["call_id"] for row in found] == ["c2", "c1", "c0"]


@pytest.mark.parametrize("name", ["dayly_costs", "call", 'calls" union select 1 --', ""])
def test_an_unknown_name_is_refused(ledger: sqlite3.Connection, name: str) -> None:
    with pytest.raises(BadArgument, match="no view or question"):
        export(ledger, name, "csv")


def test_an_unknown_name_gets_the_nearest(ledger: sqlite3.Connection) -> None:
    with pytest.raises(BadArgument) as caught:
        export(ledger, "dayly_costs", "csv")
    assert caught.value.hint == "Did you mean daily_costs?"


def test_a_file_appears_whole_and_for_its_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    with new_file(target) as out:
        out.write(b"new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_fails_halfway_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError), new_file(target) as out:
        out.write(b"half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="it is a folder"), new_file(tmp_path):
        pass
    with pytest.raises(BadArgument, match="its folder does not exist"), new_file(tmp_path / "no" / "x"):
        pass


def test_a_name_may_be_as_long_as_the_system_lets_it(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 255)
    with new_file(target) as out:
        out.write(b"x")
    assert target.read_text() == "x"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_file_that_a_signal_ends_is_not_left_behind(tmp_path: Path, number: int) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    write = (
        "import os, sys; from pathlib import Path; from ccostdb.export.files import new_file\n"
        f"with new_file(Path(sys.argv[1])) as out: out.write(b'half'); out.flush(); os.kill(os.getpid(), {int(number)})"
    )
    done = run_python("-c", write, str(folder / "out.csv"))
    assert (done.returncode, done.stderr) == (128 + number, "")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        *("ledger.db", "hard.db", "linked.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock", "ledger.db.daemon"),
        *("backups/ledger-20260701T000000Z.db", "ledger.db.schema-1.1.backup"),
    ],
)
def test_the_ledger_and_its_own_files_are_never_written_over(
    ledger: sqlite3.Connection, tmp_path: Path, name: str
) -> None:
    (tmp_path / "backups").mkdir()
    path, target = tmp_path / "ledger.db", tmp_path / name
    (tmp_path / "hard.db").hardlink_to(path)
    (tmp_path / "linked.db").symlink_to(path)
    before, was_there = path.read_bytes(), target.exists()
    done = ccostdb("export", "calls", "--db", str(path), "-o", str(target))
    assert done.exit_code == 1
    assert "is the ledger, or a file of its own." in done.output
    assert path.read_bytes() == before
    assert target.exists() == was_there
    assert ledger.execute("select count(*) from calls").fetchone() == (3,)


def test_the_columns_of_cco_have_plain_decimals() -> None:
    text = written("csv", [("m", 2e-05, -1e-9, None)], ("model", "input_cost", "output_cost", "total_cost"))
    assert text.splitlines()[1] == "m,0.00002,-0.000000001,"


def test_a_device_is_written_directly() -> None:
    with new_file(Path("/dev/null")) as out:
        out.write(b"x")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("form", list(CHUNKS))
def test_a_chunk_is_given_before_the_rows_of_the_next_are_asked_for(form: str) -> None:
    asked = 0

    def rows() -> Iterator[tuple[str]]:
        nonlocal asked
        while True:
            asked += 1
            yield ("x",)

    chunks = CHUNKS[form](["a"], rows())
    assert "x" in next(chunk for chunk in chunks if "x" in chunk)
    assert asked == ROWS_PER_CHUNK
    next(chunks)
    assert asked == 2 * ROWS_PER_CHUNK


@pytest.mark.parametrize("form", list(CHUNKS))
def test_a_chunk_of_long_texts_has_few_of_them(form: str) -> None:
    long = "x" * (MOST_LETTERS // 10)
    chunks = list(CHUNKS[form](["a"], ((long,) for _ in range(30))))
    assert max(map(len, chunks)) < 1.3 * MOST_LETTERS
    assert "".join(chunks).count(long) == 30


@pytest.mark.parametrize("count", [0, 1, ROWS_PER_CHUNK, ROWS_PER_CHUNK + 1])
def test_chunks_lose_no_row_at_their_edges(count: int) -> None:
    rows = [(number, "\r" if number % 3 else "=1") for number in range(count)]
    assert json.loads(written("json", rows, ("a", "b"))) == [{"a": number, "b": text} for number, text in rows]
    read = list(csv.reader(io.StringIO(written("csv", rows, ("a", "b")), newline="")))
    assert read[1:] == [[str(number), f"'{text}"] for number, text in rows]


def test_bytes_are_hexadecimal() -> None:
    assert written("csv", [(b"\x01\xff",)], ("a",)) == "a\n01ff\n"
    assert json.loads(written("ndjson", [(b"\x01\xff", 1)], ("a", "b"))) == {"a": "01ff", "b": 1}


def test_a_pipe_that_its_maker_does_not_wait_for_gets_every_row(week: Path) -> None:
    command = [sys.executable, "-m", "ccostdb", "--db", str(week), "export", "calls", "--format", "ndjson"]
    here, there = os.pipe()
    os.set_blocking(there, False)
    with suppress(BlockingIOError):  # it is full from the start
        while True:
            os.write(there, b" " * 1024)
    with subprocess.Popen(command, stdout=there, env=environment()) as process, open(here, "rb") as pipe:  # noqa: PTH123
        os.close(there)
        with suppress(subprocess.TimeoutExpired):
            process.wait(2)
        rows = pipe.read().lstrip().splitlines()
        assert process.wait(20) == 0
    with closing(sqlite3.connect(week)) as con:
        assert len(rows) == con.execute("select count(*) from calls").fetchone()[0]


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such limit")
def test_a_file_that_may_not_grow_is_one_sentence_and_not_left_behind(week: Path, tmp_path: Path) -> None:
    limited = (
        "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (50_000, 50_000)); from ccostdb.__main__ import main; main()"
    )
    words = ("--db", str(week), "export", "calls", "--format", "csv", "-o", str(tmp_path / "calls.csv"))
    done = run_python("-c", limited, *words)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "Error: File too large.")
    assert list(tmp_path.iterdir()) == []

"""Whose file it is, how old, and who may write it."""

import sqlite3
import stat
import subprocess
import sys
import textwrap
from contextlib import closing
from dataclasses import replace

import pytest
from transcripts import import_once, line, rows, settings_for, write

from ccostdb import schema
from ccostdb.errors import CcostError, NotOurs, SchemaTooNew, StoreBusy
from ccostdb.schema import APPLICATION_ID, inspect, open_reader, prepare, schema_version, writing_lock
from ccostdb.settings import Settings


def change(settings: Settings, *statements: str) -> None:
    with closing(sqlite3.connect(settings.db, isolation_level=None)) as con:
        for statement in statements:
            con.execute(statement)


def test_a_new_ledger_is_marked_as_ours_and_private(tmp_path):
    settings = Settings(db=tmp_path / "new" / "folder" / "ledger.db", home_tz="Asia/Kolkata")
    with writing_lock(settings.db):
        prepare(settings)
    assert inspect(settings) == schema.Condition(schema_version(), True)
    assert stat.S_IMODE(settings.db.stat().st_mode) == 0o600
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in list(settings.db.parents)[:2]] == [0o700, 0o700]
    (ledger,) = rows(settings, "select home_tz, made_by from ledger")
    assert ledger["home_tz"] == "Asia/Kolkata"
    with closing(sqlite3.connect(settings.db)) as con:
        assert con.execute("pragma application_id").fetchone() == (APPLICATION_ID,)
        assert con.execute("pragma journal_mode").fetchone() == ("wal",)


def test_every_file_of_a_ledger_is_private_while_it_is_written(tmp_path):
    settings = settings_for(tmp_path, write(tmp_path / "a.jsonl", line()))
    import_once(settings)
    with closing(sqlite3.connect(settings.db)) as con:
        con.execute("select count(*) from call").fetchone()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("ledger.db*")}
    assert set(modes.values()) == {0o600}, modes


def test_an_empty_file_is_ours_to_make(tmp_path):
    settings = Settings(db=tmp_path / "ledger.db", home_tz="UTC")
    settings.db.touch()
    with writing_lock(settings.db):
        prepare(settings)
    assert inspect(settings).is_current


def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    settings = settings_for(tmp_path, write(tmp_path / "a.jsonl", line()))
    settings.db.unlink()
    change(settings, "create table theirs (x)")
    before = settings.db.read_bytes()
    with pytest.raises(NotOurs, match="no ccostdb ledger"):
        import_once(settings)
    with pytest.raises(NotOurs):
        open_reader(settings)
    assert settings.db.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    settings = Settings(db=tmp_path / "notes.txt")
    settings.db.write_text("do not lose me " * 100)
    with pytest.raises(NotOurs, match="no SQLite file"):
        open_reader(settings)
    assert settings.db.read_text().startswith("do not lose me")


def test_a_newer_ledger_is_refused_with_what_to_do(tmp_path):
    settings = settings_for(tmp_path)
    change(settings, f"pragma user_version = {schema_version() + 1}")
    with pytest.raises(SchemaTooNew, match="schema") as caught:
        open_reader(settings)
    assert "Update" in (caught.value.hint or "")


def test_a_missing_ledger_is_not_made_by_a_reader(tmp_path):
    settings = Settings(db=tmp_path / "ledger.db")
    with pytest.raises(CcostError, match="no ledger"):
        open_reader(settings)
    assert list(tmp_path.iterdir()) == []


def test_views_of_another_text_are_replaced_by_whoever_comes_next(tmp_path):
    settings = settings_for(tmp_path)
    change(settings, "drop view calls", "create view calls as select 1 as stale", "create view old as select 1")
    change(settings, "update ledger set views_sha256 = 'other'")
    with closing(open_reader(settings)) as con:
        assert con.execute("select count(*) from calls").fetchone()[0] == 0
        assert con.execute("select name from sqlite_schema where name = 'old'").fetchone() is None
        assert "stale" not in [column[0] for column in con.execute("select * from calls").description]


def test_a_reader_of_views_that_are_behind_says_so_where_the_lock_is_held(tmp_path):
    settings = settings_for(tmp_path)
    change(settings, "update ledger set views_sha256 = 'other'")
    with writing_lock(settings.db), pytest.raises(StoreBusy, match="Another ccostdb process"):
        open_reader(settings)


def test_a_reader_never_writes(tmp_path):
    with closing(open_reader(settings_for(tmp_path))) as con, pytest.raises(sqlite3.OperationalError, match="readonly"):
        con.execute("delete from call")


def test_a_changed_price_of_the_user_reaches_the_price_table(tmp_path):
    settings = settings_for(tmp_path)
    mine = {"model": "my-model", "input": 1, "output": 2}
    priced = replace(settings, user_prices=(mine,))
    assert not inspect(priced).is_current
    with writing_lock(priced.db):
        prepare(priced)
    assert inspect(priced).is_current
    assert rows(priced, "select count(*) as n from price where model = 'my-model'")[0]["n"] > 0


def test_a_migration_copies_the_file_first_and_happens_whole_or_not_at_all(tmp_path, monkeypatch):
    settings = settings_for(tmp_path)
    change(settings, "insert into agent (name) values ('kept')")
    monkeypatch.setattr(schema, "schema_version", lambda: schema_version() + 1)
    with writing_lock(settings.db):
        prepare(settings)
    backup = settings.db.with_name(f"ledger.db.schema-{schema_version()}.backup")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with closing(sqlite3.connect(backup)) as con:
        assert con.execute("select name from agent").fetchall() == [("kept",)]


def test_a_price_that_cannot_be_used_is_an_error_for_people_and_leaves_no_half_made_ledger(tmp_path):
    settings = Settings(db=tmp_path / "ledger.db", home_tz="UTC", user_prices=({"model": "m", "input": -1},))
    with writing_lock(settings.db), pytest.raises(CcostError, match="price"):
        prepare(settings)
    assert inspect(settings).version == 0


def test_one_process_writes_and_the_second_stands_aside(tmp_path):
    settings = settings_for(tmp_path, write(tmp_path / "a.jsonl", line()))
    holder = textwrap.dedent("""
        import sys
        from pathlib import Path
        from ccostdb.schema import writing_lock
        with writing_lock(Path(sys.argv[1])):
            print("held", flush=True)
            sys.stdin.read()
    """)
    order = [sys.executable, "-c", holder, str(settings.db)]
    with subprocess.Popen(order, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StoreBusy) as caught:
            import_once(settings)
        assert caught.value.hint
        with closing(open_reader(settings)) as con:  # reading works meanwhile
            assert con.execute("select count(*) from calls").fetchone()[0] == 0
        process.communicate()
    import_once(settings)
    assert len(rows(settings)) == 1


def test_a_lock_file_left_behind_locks_nobody_out(tmp_path):
    settings = settings_for(tmp_path, write(tmp_path / "a.jsonl", line()))
    settings.db.with_name("ledger.db.lock").write_text("12345")
    assert import_once(settings).rows == 1

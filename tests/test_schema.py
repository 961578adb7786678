"""Whose file it is, how old, and who may write it."""

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from commands import ROOT
from ledger_rows import add_source
from transcripts import import_once, line, rows, settings_for, write

from ccostdb.errors import CcostError, NotOurs, SchemaTooNew, StoreBusy
from ccostdb.lock import writing_lock
from ccostdb.resources import sql_dir
from ccostdb.schema import APPLICATION_ID, inspect, open_reader, prepare, schema_version
from ccostdb.settings import Settings
from ccostdb.store import open_store


def change(settings: Settings, *statements: str) -> None:
    with closing(sqlite3.connect(settings.db, isolation_level=None)) as con:
        for statement in statements:
            con.execute(statement)


def test_a_new_ledger_is_marked_as_ours_and_private(tmp_path):
    settings = Settings(db=tmp_path / "new" / "folder" / "ledger.db", home_tz="Asia/Kolkata")
    with writing_lock(settings.db):
        prepare(settings)
    assert inspect(settings).version == schema_version()
    assert inspect(settings).is_current
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


def test_a_folder_in_place_of_the_ledger_is_said_to_be_one(tmp_path):
    folder = tmp_path / "ledgers"
    folder.mkdir()
    for use in (inspect, open_reader, lambda settings: writing_lock(settings.db).__enter__()):
        with pytest.raises(CcostError, match="is a folder") as caught:
            use(Settings(db=folder))
        assert f"--db {folder / 'ccostdb.db'}" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == [folder]


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


def test_views_of_another_text_are_replaced_by_whoever_comes_next_and_a_persons_own_stay(tmp_path):
    settings = settings_for(tmp_path)
    change(settings, "drop view calls", "create view calls as select 1 as stale", "create view mine as select 7")
    change(settings, "update ledger set views_sha256 = 'other'")
    with closing(open_reader(settings)) as con:
        assert con.execute("select count(*) from calls").fetchone()[0] == 0
        assert con.execute("select * from mine").fetchone()[0] == 7
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


def installed(folder: Path, *migrations: str) -> Path:
    """A ccostdb of its own in `folder`, as a wheel lays it out, that knows these migrations after ours."""
    if not (folder / "ccostdb").exists():
        shutil.copytree(ROOT / "ccostdb", folder / "ccostdb", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(sql_dir(), folder / "ccostdb" / "_sql", dirs_exist_ok=True)
    for number, text in enumerate(migrations, schema_version() + 1):
        (folder / "ccostdb" / "_sql" / "migrations" / f"{number:04}_later.sql").write_text(text)
    return folder


def migrate(settings: Settings, package: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "ccostdb", "migrate", "--db", str(settings.db)]
    env = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run(words, cwd=settings.db.parent, env=env, capture_output=True, text=True, check=False)


def test_migrations_happen_all_or_none(tmp_path):
    settings = settings_for(tmp_path / "here")
    change(settings, "insert into agent (name) values ('kept')")
    good = "-- For a test.\ncreate table first (x);\nupdate agent set name = 'changed';\n"
    package = installed(tmp_path, good, "-- For a test.\ncreate table second (x);\ninsert into nowhere values (1);\n")
    failed = migrate(settings, package)
    assert failed.returncode != 0
    assert "nowhere" in failed.stderr
    assert inspect(settings).version == schema_version()
    assert rows(settings, "select name from agent") == [{"name": "kept"}]
    assert rows(settings, "select name from sqlite_schema where name in ('first', 'second')") == []
    assert migrate(settings, installed(tmp_path, good, "-- For a test.\ncreate table second (x);\n")).returncode == 0
    assert rows(settings, "select name from agent") == [{"name": "changed"}]
    assert len(rows(settings, "select name from sqlite_schema where name in ('first', 'second')")) == 2


def test_each_migration_leaves_a_copy_of_the_file_as_it_was_and_follows_no_link(tmp_path):
    settings = settings_for(tmp_path / "here")
    change(settings, "insert into agent (name) values ('kept')")
    (tmp_path / "precious").write_text("precious")
    names = [f"ledger.db.schema-{schema_version()}.{number}.backup" for number in (1, 2, 3)]
    first, second, third = (settings.db.with_name(name) for name in names)
    first.symlink_to(tmp_path / "precious")
    second.write_text("an earlier copy")
    assert (
        migrate(settings, installed(tmp_path, "-- For a test.\nupdate agent set name = 'changed';\n")).returncode == 0
    )
    assert (tmp_path / "precious").read_text() == "precious"
    assert second.read_text() == "an earlier copy"
    assert stat.S_IMODE(third.stat().st_mode) == 0o600
    with closing(sqlite3.connect(third)) as con:
        assert con.execute("select name from agent").fetchall() == [("kept",)]


def test_a_module_in_the_working_folder_is_never_run(tmp_path, monkeypatch):
    for name in ("json", "sqlite_utils", "ccostdb"):
        (tmp_path / f"{name}.py").write_text(f"open('run by {name}', 'w').close()\nraise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    settings = Settings(db=tmp_path / "ledger.db", home_tz="UTC")
    with writing_lock(settings.db):
        prepare(settings)
    assert inspect(settings).is_current
    assert list(tmp_path.glob("run by *")) == []


def test_a_link_to_the_ledger_does_not_lead_round_its_lock(tmp_path):
    settings = settings_for(tmp_path / "real", write(tmp_path / "a.jsonl", line()))
    (tmp_path / "link.db").symlink_to(settings.db)
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    links = [replace(settings, db=path) for path in (tmp_path / "link.db", tmp_path / "folder" / "ledger.db")]
    for linked in links:
        with writing_lock(settings.db), pytest.raises(StoreBusy):
            import_once(linked)
        with writing_lock(linked.db), pytest.raises(StoreBusy):
            import_once(settings)
    import_once(links[0])
    assert len(rows(settings)) == 1
    assert [path.name for path in tmp_path.glob("link.db*")] == ["link.db"]


def test_a_ledger_is_made_where_a_link_leads(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "ledger.db")
    settings = Settings(db=tmp_path / "link.db", home_tz="UTC")
    with writing_lock(settings.db):
        prepare(settings)
    assert inspect(replace(settings, db=tmp_path / "real" / "ledger.db")).is_current


def test_a_link_that_leads_to_itself_is_an_error_for_people(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "link.db")
    with pytest.raises(CcostError), writing_lock(tmp_path / "link.db"):
        pass


def counted(settings: Settings) -> list[int]:
    with closing(open_reader(settings)) as con:
        return [row[0] for row in con.execute("select counted from source_counted order by source_id")]


def test_a_setting_that_says_whether_cco_counts_holds_at_once_for_every_cco(tmp_path):
    settings = settings_for(tmp_path)
    with closing(sqlite3.connect(settings.db, isolation_level=None)) as con:
        add_source(con, "claude-code")
        add_source(con, "cco")
        add_source(con, "cco", "cco elsewhere")
    assert counted(settings) == [1, 0, 0]
    assert counted(replace(settings, cco_counted=True)) == [1, 1, 1]
    assert counted(settings) == [1, 1, 1], "where nothing is set, the ledger's own word stands"
    assert counted(replace(settings, cco_counted=False)) == [1, 0, 0]
    assert counted(replace(settings, origins={"cco_counted": "config.toml"})) == [1, 0, 0]
    (auto,) = rows(settings, "select count(*) as n from source where counted_setting is null")
    assert auto["n"] == 3


def test_while_another_process_writes_its_own_word_on_cco_stands_and_the_reader_is_told(tmp_path):
    settings = settings_for(tmp_path)
    with closing(sqlite3.connect(settings.db, isolation_level=None)) as con:
        add_source(con, "cco", counted=False)
    said = []
    with writing_lock(settings.db), closing(open_reader(replace(settings, cco_counted=True), say=said.append)) as con:
        assert con.execute("select counted from source_counted").fetchone()[0] == 0
    assert said == ["Another ccostdb process writes: its settings say whether CCO counts, not yours."]


def test_an_ingest_of_one_cco_applies_its_setting_to_every_cco(tmp_path):
    settings = settings_for(tmp_path)
    with closing(sqlite3.connect(settings.db, isolation_level=None)) as con:
        add_source(con, "claude-code")
        add_source(con, "cco", "http://other:8080", counted=True)

    async def record() -> None:
        async with open_store(settings) as store:
            await store.source_id("cco", "http://localhost:8080")

    asyncio.run(record())
    assert counted(settings) == [1, 0, 0]


def test_a_changed_price_stops_no_reader_while_another_process_writes(tmp_path):
    settings = settings_for(tmp_path)
    priced = replace(settings, user_prices=({"model": "my-model", "input": 1, "output": 2},))
    said = []
    with writing_lock(settings.db), closing(open_reader(priced, is_priced=True, say=said.append)) as con:
        assert con.execute("select count(*) from daily_costs").fetchone()[0] == 0
        assert con.execute("select count(*) from price where model = 'my-model'").fetchone()[0] == 0
    assert said == ["Another ccostdb process writes: its settings say the prices, not yours."]
    with closing(open_reader(priced, is_priced=True)) as con:
        assert con.execute("select count(*) from price where model = 'my-model'").fetchone()[0] > 0


@pytest.mark.parametrize("name", ["3.37.2", "3.8.0"])
def test_an_old_sqlite_writes_nothing_and_the_person_is_told(tmp_path, monkeypatch, name):
    monkeypatch.setattr(sqlite3, "sqlite_version", name)
    monkeypatch.setattr(sqlite3, "sqlite_version_info", tuple(map(int, name.split("."))))
    with pytest.raises(CcostError, match=f"SQLite {name} is too old") as caught, writing_lock(tmp_path / "ledger.db"):
        pass
    assert "newer build of Python" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_a_second_sqlite_beside_us_writes_nothing_and_the_person_is_told_how_to_remove_it(tmp_path, monkeypatch):
    (tmp_path / "site" / "pysqlite3").mkdir(parents=True)
    (tmp_path / "site" / "pysqlite3" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(CcostError, match="pysqlite3") as caught, writing_lock(tmp_path / "ledger.db"):
        pass
    assert "pip uninstall pysqlite3" in (caught.value.hint or "")
    assert not (tmp_path / "ledger.db.lock").exists()


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
        from ccostdb.lock import writing_lock
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


@pytest.mark.parametrize("use", [prepare, open_reader, inspect])
def test_a_pipe_is_no_ledger_and_is_not_waited_for(tmp_path, use):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CcostError, match="is no file"):
        use(Settings(db=tmp_path / "pipe"))


def test_an_empty_file_that_becomes_a_ledger_becomes_private(tmp_path):
    settings = Settings(db=tmp_path / "ledger.db", home_tz="UTC")
    settings.db.touch(0o644)
    with writing_lock(settings.db):
        prepare(settings)
    assert stat.S_IMODE(settings.db.stat().st_mode) == 0o600


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder that takes no file, root's neither")
def test_where_no_lock_can_be_made_nobody_is_said_to_hold_it():
    with pytest.raises(CcostError, match="lock cannot be made"), writing_lock(Path("/proc/ledger.db")):
        pass


def test_a_new_ledger_has_large_pages_and_one_of_small_pages_keeps_them(tmp_path):
    sizes = []
    for name, given in (("new.db", None), ("old.db", 4096)):
        settings = Settings(db=tmp_path / name, home_tz="UTC")
        if given is not None:
            with closing(sqlite3.connect(settings.db)) as con:
                con.execute(f"pragma page_size = {given}")
                con.execute("pragma journal_mode = wal")
                con.execute("vacuum")
        with writing_lock(settings.db):
            prepare(settings)
        with closing(open_reader(settings)) as con:
            sizes.append(con.execute("pragma page_size").fetchone()[0])
    assert sizes == [8192, 4096]


def test_a_full_disk_while_the_ledger_is_made_is_sqlites_own_error_with_its_code(tmp_path, monkeypatch):
    settings = Settings(db=tmp_path / "ledger.db", home_tz="UTC")
    pragmas = ("pragma max_page_count = 8",)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        f"import ccostdb.schema as s\ns.WRITER_PRAGMAS = (*s.WRITER_PRAGMAS, *{pragmas!r})\n"
    )
    monkeypatch.syspath_prepend(str(site))
    with writing_lock(settings.db), pytest.raises(sqlite3.OperationalError, match="full") as caught:
        prepare(settings)
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_FULL
    assert inspect(settings).version == 0

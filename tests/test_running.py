"""Who records into a ledger: the record that a process leaves, and when it is believed."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from recorders import BOUND_S, HOLD, SLEEP, process, wait_for

from ccostdb.daemon.record import (
    Record,
    process_start,
    read_record,
    record_path,
    recorded,
    start_from_ps,
    write_whole,
)
from ccostdb.errors import CcostError
from ccostdb.lock import is_written, writing_lock
from ccostdb.settings import Settings


@pytest.fixture
def settings(home: Path) -> Settings:
    """Those of a ledger that is not there yet."""
    return Settings(db=home / "new.db")


def test_a_recording_process_says_who_it_is_for_its_owner_only_and_takes_it_back(settings: Settings) -> None:
    with writing_lock(settings.db), recorded(settings, "http://127.0.0.1:8081"):
        path = record_path(settings.db)
        assert path == settings.db.with_name("new.db.daemon")
        assert path.stat().st_mode & 0o777 == 0o600
        record = read_record(settings.db)
        assert record is not None
        assert (record.pid, record.health_url) == (os.getpid(), "http://127.0.0.1:8081/health")
        assert record.log_path is None
        assert abs(record.started_ns - time.time_ns()) < BOUND_S * 1e9
    assert not path.exists()
    assert read_record(settings.db) is None
    assert sorted(each.name for each in settings.db.parent.iterdir()) == ["new.db.lock"]


def test_a_record_lies_beside_the_file_that_a_link_leads_to(settings: Settings, home: Path) -> None:
    (home / "link.db").symlink_to("new.db")
    with writing_lock(settings.db), recorded(replace(settings, db=home / "link.db"), None):
        assert record_path(settings.db).exists()
        assert read_record(home / "link.db") == read_record(settings.db) is not None


def test_a_record_is_believed_only_while_somebody_holds_the_lock(settings: Settings) -> None:
    with recorded(settings, None):
        assert read_record(settings.db) is None
        with writing_lock(settings.db):
            assert read_record(settings.db) is not None


def test_a_record_of_a_process_that_was_killed_is_not_believed(settings: Settings) -> None:
    with process("-c", HOLD, str(settings.db)) as made:
        record = read_record(settings.db)
        assert record is not None
        assert record.pid == made.pid
        made.kill()
        made.wait()
        assert record_path(settings.db).exists()
        with writing_lock(settings.db):
            assert read_record(settings.db) is None


def test_a_process_that_ended_but_was_not_waited_for_does_not_live(settings: Settings) -> None:
    with process("-c", SLEEP) as made:
        assert process_start(made.pid) is not None
        made.kill()
        wait_for(lambda: process_start(made.pid) is None)
        assert made.returncode is None


def test_a_start_is_told_by_ps_where_there_is_no_proc() -> None:
    with process("-c", SLEEP) as made:
        first = start_from_ps(made.pid)
        assert first is not None
        assert first == start_from_ps(made.pid)
        assert first != start_from_ps(1)
    assert start_from_ps(made.pid) is None


def test_two_processes_never_have_the_same_number_and_start() -> None:
    with process("-c", SLEEP) as one, process("-c", SLEEP) as other:
        assert process_start(one.pid) != process_start(other.pid) or one.pid != other.pid
        assert process_start(one.pid) == process_start(one.pid)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "[" * 60_000, '{"pid": 1}', "\0" * 70_000),
        *(
            json.dumps({**asdict(Record(1, "x", 1, "0", None, None)), "pid": pid})
            for pid in (0, -1, True, 1.5, "1", 2**40)
        ),
    ],
)
def test_a_record_that_is_none_is_not_believed(settings: Settings, text: str) -> None:
    record_path(settings.db).write_text(text)
    with writing_lock(settings.db):
        assert read_record(settings.db) is None


@pytest.mark.parametrize(("name", "value"), [("started_ns", 10**30), ("started_ns", -1)])
def test_a_record_whose_time_no_clock_shows_is_not_believed(settings: Settings, name: str, value: int) -> None:
    with writing_lock(settings.db), recorded(settings, None):
        told = json.loads(record_path(settings.db).read_text())
        record_path(settings.db).write_text(json.dumps({**told, name: value}))
        assert read_record(settings.db) is None


def test_a_lock_that_is_a_link_is_an_error_for_people(settings: Settings, home: Path) -> None:
    for target in ("elsewhere", "new.db.lock"):  # a file that is not there, and the link itself
        (home / "new.db.lock").unlink(missing_ok=True)
        (home / "new.db.lock").symlink_to(target)
        with pytest.raises(CcostError, match=r"new.db.lock cannot be written"):
            is_written(settings.db)
    assert not (home / "elsewhere").exists()


def test_a_record_behind_a_link_is_not_believed(settings: Settings, home: Path) -> None:
    with writing_lock(settings.db), recorded(settings, None):
        path = record_path(settings.db)
        path.rename(home / "elsewhere")
        path.symlink_to(home / "elsewhere")
        assert read_record(settings.db) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_record_of_another_user_is_not_believed(settings: Settings) -> None:
    with writing_lock(settings.db), recorded(settings, None):
        os.chown(record_path(settings.db), 12345, 12345)
        assert read_record(settings.db) is None


def test_a_file_that_cannot_be_put_in_place_leaves_nothing(home: Path) -> None:
    (home / "folder" / "in").mkdir(parents=True)
    with pytest.raises(OSError):
        write_whole(home / "folder", b"x")
    assert [each.name for each in home.iterdir()] == ["folder"]


def test_a_process_that_cannot_say_who_it_is_records_all_the_same(settings: Settings) -> None:
    record_path(settings.db).mkdir()
    with writing_lock(settings.db), recorded(settings, None):
        assert read_record(settings.db) is None


def test_a_lock_that_may_not_be_written_tells_all_the_same_who_holds_it(settings: Settings) -> None:
    place = Path(f"{settings.db}.lock")
    with writing_lock(settings.db):
        place.chmod(0o400)
        assert is_written(settings.db)
    place.touch(0o400)
    assert not is_written(settings.db)


def test_to_look_whether_a_ledger_is_written_neither_makes_a_file_nor_waits(settings: Settings) -> None:
    assert not is_written(settings.db)
    assert list(settings.db.parent.iterdir()) == []
    with writing_lock(settings.db):
        assert is_written(settings.db)
    assert not is_written(settings.db)

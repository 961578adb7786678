"""What reaches a log: one line a record, nothing that a terminal would obey, and no secret."""

from __future__ import annotations

import errno
import io
import json
import logging
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccostdb import logs
from ccostdb.errors import CcostError
from ccostdb.logs import hidden, log_to, secrets_of
from ccostdb.settings import Settings

log = logging.getLogger("ccostdb.tested")


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Leaves the loggers of this process as they were."""
    root, ours = logging.getLogger(), logging.getLogger("ccostdb")
    before = [(each, each.handlers[:], each.level, each.propagate) for each in (root, ours)]
    errors = logging.raiseExceptions
    yield
    logging.raiseExceptions = errors
    for logger, handlers, level, propagate in before:
        for handler in logger.handlers:
            if handler not in handlers:
                handler.close()
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


class Full(io.StringIO):
    """A stream on a disk without room."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def said(*secrets: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    log_to(stream, level, secrets)
    return stream


def test_a_stream_gets_one_readable_line_a_record() -> None:
    stream = said()
    log.info("read %d files", 3)
    line = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info ccostdb\.tested: read 3 files\n"
    assert re.fullmatch(line, stream.getvalue())


def test_a_file_gets_one_json_object_a_line_and_is_this_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log" / "ccostdb.log"
    log_to(path, "info")
    log.warning("größer\nals")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception("it failed")
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert {name: first[name] for name in ("level", "logger", "message")} == {
        "level": "warning",
        "logger": "ccostdb.tested",
        "message": r"größer\nals",
    }
    assert first["time"].endswith("Z")
    assert second["traceback"].endswith("ValueError: two\nlines")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in path.parents[:2]] == [0o700, 0o700]


def test_nothing_that_a_terminal_obeys_or_that_forges_a_line_is_written() -> None:
    # Formatted without being logged: a lone surrogate among captured logs is more than a report of the tests can hold.
    try:
        raise RuntimeError("c\x1b]0;title\x07\nd")
    except RuntimeError:
        trouble = sys.exc_info()
    text = "a\x1b[2Jb\r\n2026-01-01 error forged\x9b1m\u202e\u2028\udc80%s"
    line = logs.Line().format(logging.LogRecord("x", logging.ERROR, "", 0, text, ("\x00\x07",), trouble))
    assert line.isprintable()
    assert r"a\x1b[2Jb\r\n2026-01-01 error forged\x9b1m\u202e\u2028\udc80\x00\x07" in line
    assert r"RuntimeError: c\x1b]0;title\x07\nd" in line


@pytest.mark.parametrize("written", ["hush/hush+1", "hush%2Fhush%2B1", "hush/hush%2B1", "Bearer hush/hush+1"])
def test_secrets_are_replaced_in_messages_and_tracebacks(written: str) -> None:
    stream = said("hush/hush+1", "Bearer hush/hush+1")
    try:
        raise ValueError(f"http://host/?key={written}")
    except ValueError:
        log.exception("sent %r", {"X-API-Key": written})
    assert "hush" not in stream.getvalue()
    assert stream.getvalue().count(logs.HIDDEN) >= 2


def test_the_secrets_of_settings_are_keys_headers_and_what_stands_in_a_query() -> None:
    settings = Settings(
        Path("x"),
        ccd_headers=(("Authorization", "Bearer abcdef"), ("X", "1")),
        ccd_url="http://host/events?token=qwerty&n=1",
        cca_api_key="cca-key",
    )
    assert secrets_of(settings) == ("Bearer abcdef", "abcdef", "cca-key", "qwerty")
    assert hidden("GET http://host/events?token=qwerty&n=1", secrets_of(settings)).endswith("?token=[hidden]&n=1")
    assert secrets_of(Settings(Path("x"))) == ()


def test_what_stands_in_a_query_is_a_secret_however_it_is_written_but_not_which_events_are_wanted() -> None:
    settings = Settings(Path("x"), ccd_url="http://host/events?sekrit&t=a%2fb+cd&profile=work&family=hooks")
    assert secrets_of(settings) == ("a%2fb+cd", "a/b cd", "sekrit")


def test_libraries_are_heard_from_warning_on_and_we_from_the_level_that_is_set() -> None:
    for level, shown in (("debug", ["we debug", "we info"]), ("warning", [])):
        stream = said(level=level)
        log.debug("we debug")
        log.info("we info")
        logging.getLogger("httpx").info("they info")
        logging.getLogger("httpx").warning("they warn")
        words = [line.split(": ", 1)[1] for line in stream.getvalue().splitlines()]
        assert words == [*shown, "they warn"]


def test_a_second_call_replaces_the_first() -> None:
    first, second = said(), said()
    log.info("once")
    assert (first.getvalue(), second.getvalue().count("once")) == ("", 1)


def test_files_are_rotated_and_all_of_them_are_this_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MOST_BYTES", 2000)
    log_to(tmp_path / "ccostdb.log", "info")
    for number in range(200):
        log.info("line %d", number)
    found = sorted(tmp_path.iterdir())
    assert [path.name for path in found] == ["ccostdb.log", *(f"ccostdb.log.{number}" for number in (1, 2, 3))]
    assert all(path.stat().st_size <= 2000 and stat.S_IMODE(path.stat().st_mode) == 0o600 for path in found)
    assert json.loads(found[0].read_text().splitlines()[-1])["message"] == "line 199"


def test_a_message_has_a_bound() -> None:
    stream = said()
    log.info("x" * 1_000_000)
    assert len(stream.getvalue()) < logs.MOST_CHARACTERS + 200


def test_a_log_that_cannot_be_written_is_one_sentence_and_later_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link.log").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "link.log", tmp_path / "file" / "x.log"):
        with pytest.raises(CcostError, match="cannot be written"):
            log_to(path, "info")
    assert not (tmp_path / "elsewhere").exists()
    log_to(Full(), "info")
    log.info("lost")
    assert capsys.readouterr().err == ""


def test_it_is_the_same_line_for_a_warning_of_a_library() -> None:
    stream = said("hush-hush")
    logging.getLogger("uvicorn.error").error("it said\nhush-hush")
    assert stream.getvalue().endswith("error uvicorn.error: it said\\n[hidden]\n")

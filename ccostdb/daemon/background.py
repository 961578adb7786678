"""Starts, ends and asks the process that records in the background: `ccostdb ingest`, detached, its words in a log.

Nobody is signalled but the process that wrote the ledger's record (`record.py`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ccostdb.clock import iso
from ccostdb.daemon.record import Record, is_alive, log_file, print_file, read_record
from ccostdb.errors import CcostError, StoreBusy
from ccostdb.lock import is_written, make_folder, real_path, writing_lock
from ccostdb.logs import secrets_of, without_secrets
from ccostdb.resources import sql
from ccostdb.schema import inspect, open_reader
from ccostdb.settings import Settings

START_S = 30.0
STOP_S = 10.0
RECORD_S = 5.0  # from the lock to the record, where a ledger need not be upgraded
ASK_S = 2.0
POLL_S = 0.05
MOST_PRINTED_BYTES = 1_000_000
TAIL_BYTES = 8192


class Started(NamedTuple):
    """The process that records now. `is_new`: it was started by this call."""

    record: Record
    is_new: bool


def start(settings: Settings, arguments: Sequence[str] = (), *, say: Callable[[str], None] = lambda _: None) -> Started:
    """Starts `ccostdb ingest` with these arguments unless one runs, and waits until it answers.

    Raises CcostError with its reason where it ends before, or has not answered after 30 s.
    """
    if running := read_record(settings.db):
        return Started(running, is_new=False)
    inspect(settings)  # a file that is no ledger gets no lock beside it
    try:
        with writing_lock(settings.db):  # what is wrong with the folder is said here; the process takes its own
            pass
    except StoreBusy:
        if running := _record_of_another(settings.db):
            return Started(running, is_new=False)
        raise
    path = print_file(settings.db)
    arguments = [*arguments, "--log-file", str(log_file(settings.db)), "--db", str(real_path(settings.db))]
    with _opened(path) as out:
        begins = out.tell()
        process = _spawn(arguments, settings, out.fileno())
    try:
        return _wait_until_up(process, settings.db, path, begins, say)
    finally:
        process.returncode = process.returncode or 0  # it outlives us: nobody waits for it


def _opened(path: Path) -> Any:
    """The file to append to, for this user only; one that has grown large is begun anew."""
    hint = "Check who owns it, or stay in the foreground: ccostdb start --foreground"
    make_folder(path.parent, hint)
    try:
        if path.exists() and path.stat().st_size > MOST_PRINTED_BYTES:
            path.unlink()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        out = open(os.open(path, flags, 0o600), "ab")  # noqa: PTH123, SIM115 - the caller closes it
    except OSError as error:
        raise CcostError(f"The log {path} cannot be written: {error.strerror}.", hint) from error
    out.seek(0, os.SEEK_END)
    return out


def _spawn(arguments: Sequence[str], settings: Settings, out: int) -> subprocess.Popen[bytes]:
    """`ccostdb ingest`, which neither a terminal's end nor its Ctrl-C reaches. No setting that may hold a key is an
    argument, where every user of the machine could read it."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    if settings.origins.get("ccd_url") == "command line":
        environ["CCOSTDB_CCD_URL"] = settings.ccd_url
    command = [sys.executable, "-P", "-m", "ccostdb", "ingest", *arguments]  # -P: none of its modules is of this folder
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    return subprocess.Popen(
        command,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        start_new_session=True,
        creationflags=flags,
    )


def _wait_until_up(
    process: subprocess.Popen[bytes], db: Path, printed: Path, begins: int, say: Callable[[str], None]
) -> Started:
    now = time.monotonic()
    quiet_until, until = now + 2, now + START_S
    while (now := time.monotonic()) < until:
        if process.poll() is not None:
            if running := _record_of_another(db):
                return Started(running, is_new=False)
            raise _why_it_ended(process.returncode, printed, begins)
        running = read_record(db)
        # On Windows an environment's python is another process than the one that it starts.
        is_ours = running is not None and (running.pid == process.pid or sys.platform == "win32")
        if running and is_ours and (running.health_url is None or _ask(running.health_url) is not None):
            return Started(running, is_new=True)
        if now > quiet_until:
            say(f"Waiting for process {process.pid} to answer, up to {START_S:.0f} s …")
            quiet_until = until
        time.sleep(POLL_S)
    message = f"Process {process.pid} was started, but has not answered within {START_S:.0f} s."
    raise CcostError(message, f"It goes on trying. Its log is {log_file(db)}; ask again: ccostdb status")


def _record_of_another(db: Path) -> Record | None:
    """What the process says that holds the lock; it may have taken it a moment ago."""
    until = time.monotonic() + RECORD_S
    while (running := read_record(db)) is None and time.monotonic() < until and is_written(db):
        time.sleep(POLL_S)
    return running


def _why_it_ended(status: int, printed: Path, begins: int) -> CcostError:
    """The error that the process said itself, else the last line of what it wrote."""
    with printed.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - TAIL_BYTES, min(begins, size)))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if line.startswith("Error: "):
            return CcostError(line.removeprefix("Error: "), " ".join(lines[number + 1 :]) or None)
    last = f": {lines[-1].strip()}" if lines else "."
    return CcostError(f"The process ended with status {status}{last}", f"All that it printed is in {printed}.")


def _ask(url: str) -> str | None:
    """The status word of a health endpoint; '' where it answers something else; None where nobody answers."""
    try:
        parts = urlsplit(url)
        made = HTTPConnection(parts.hostname or "", parts.port, timeout=ASK_S)
    except (ValueError, HTTPException):  # no address: the record may be anyone's
        return None
    with closing(made) as con:
        try:
            con.request("GET", parts.path, headers={"Host": f"127.0.0.1:{parts.port}"})  # as it allows in any case
            told = json.loads(con.getresponse().read(TAIL_BYTES * 8))
        except (OSError, HTTPException):
            return None
        except (ValueError, RecursionError):
            return ""
    word = told.get("status") if isinstance(told, dict) else None
    return word if isinstance(word, str) else ""


def stop(settings: Settings, *, is_forced: bool = False) -> Record | None:
    """Ends the process that records into the ledger, and waits until it has; returns its record, None: none ran.

    It is asked to end in good order. Only with `is_forced` is one that has not done so within 10 s ended at once:
    no row that was recorded is lost, but the last events may be. (Windows knows no asking.)
    """
    record = read_record(settings.db) or _record_of_another(settings.db)  # it may begin, or be told to end already
    if record is None:
        if is_written(settings.db):
            hint = "It is of another user, in a container, or ends by itself. Stop it where it was started."
            raise StoreBusy(f"A process writes {settings.db}, but which one cannot be told.", hint)
        return None
    _signal(record, signal.SIGTERM)
    if _has_ended(record):
        return record
    if not is_forced:
        message = f"Process {record.pid} was told to stop, but has not ended within {STOP_S:.0f} s."
        raise CcostError(message, "Give it more time, or end it at once: ccostdb stop --force")
    _signal(record, getattr(signal, "SIGKILL", signal.SIGTERM))
    if not _has_ended(record):
        raise CcostError(f"Process {record.pid} cannot be ended.", "It waits for a disk or device: look after that.")
    return record


def _signal(record: Record, number: signal.Signals) -> None:
    try:
        if is_alive(record):
            os.kill(record.pid, number)
    except ProcessLookupError:
        pass  # it has just ended
    except PermissionError as error:
        raise CcostError(f"Process {record.pid} is not yours to stop.", "Ask its user.") from error


def _has_ended(record: Record) -> bool:
    """Whether it ends within 10 s; the system frees its lock then."""
    until = time.monotonic() + STOP_S
    while is_alive(record):
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True


def status(settings: Settings) -> dict[str, Any]:
    """How it is: `status` is running, stopped, or busy (a process writes that is no recording one, or cannot be told).

    `health` is the word that the endpoint answers, NULL where there is none or it does not answer; `sources` are
    rows of source_health: those with which something was recorded, and all that the running process reads.
    """
    record = read_record(settings.db)
    how = "running" if record else "busy" if is_written(settings.db) else "stopped"
    told = {
        "status": how,
        "pid": record.pid if record else None,
        "uptime_seconds": max(0, (time.time_ns() - record.started_ns) // 1_000_000_000) if record else None,
        "started_at": iso(record.started_ns) if record else None,
        "version": record.version if record else None,
        "health": _ask(record.health_url) or None if record and record.health_url else None,
        "health_url": record.health_url if record else None,
        "log": record.log_path if record else None,
        "ledger": str(settings.db) if settings.db.exists() else None,
    }
    return {**told, "sources": _sources(settings, iso(record.started_ns) if record else None)}


def _sources(settings: Settings, started_at: str | None) -> list[dict[str, Any]]:
    if not inspect(settings).is_readable:
        return []
    secrets = secrets_of(settings)
    with closing(open_reader(settings)) as con:
        rows = con.execute(sql("queries/status_sources.sql"), (started_at,))
        return [without_secrets(dict(row), secrets) for row in rows]

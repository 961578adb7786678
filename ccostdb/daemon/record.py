"""Who records into a ledger now: the process that does writes `<database>.daemon` beside it, and others read that.

A record is believed only while the very process lives that wrote it: its number alone may be another's by now.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from logging.handlers import RotatingFileHandler
from pathlib import Path

from ccostdb import __version__
from ccostdb.lock import is_written, real_path
from ccostdb.settings import Settings

RECORD_MAX_BYTES = 64 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """What a recording process says of itself. `process_start` and `pid` together are its alone, on this machine.

    `health_url`: None where it has no endpoint; `log_path`: None where its words go to a terminal or a service's log.
    """

    pid: int
    process_start: str
    started_ns: int
    version: str
    health_url: str | None
    log_path: str | None

    @property
    def is_sound(self) -> bool:
        """Whether each value is what it should be: the file may be anyone's."""
        is_pid = type(self.pid) is int and 0 < self.pid < 2**31  # 0 and below would name whole groups of processes
        texts = (self.process_start, self.version, self.health_url or "", self.log_path or "")
        is_time = type(self.started_ns) is int and 0 <= self.started_ns < 2**63
        return is_pid and is_time and all(isinstance(text, str) for text in texts)


def log_file(db: Path) -> Path:
    """Where a process in the background logs that records into this ledger: each has a log of its own."""
    import platformdirs

    mark = hashlib.sha256(os.fsencode(real_path(db))).hexdigest()[:8]
    return platformdirs.user_log_path("ccostdb", appauthor=False) / f"ccostdb-{mark}.log"


def print_file(db: Path) -> Path:
    """Beside the log, what such a process prints: errors that end it, tracebacks of a bug."""
    return log_file(db).with_suffix(".out")


def record_path(db: Path) -> Path:
    """Beside the file itself, whatever link leads there, as its lock."""
    return Path(f"{real_path(db)}.daemon")


@contextmanager
def recorded(settings: Settings, endpoint_url: str | None) -> Iterator[None]:
    """Says beside the ledger who records into it, while the block runs. The caller holds the lock.

    `endpoint_url` is without a path. A process that cannot write its record goes on without.
    """
    path, pid = record_path(settings.db), os.getpid()
    start, health_url = process_start(pid) or "", f"{endpoint_url}/health" if endpoint_url else None
    record = Record(pid, start, time.time_ns(), __version__, health_url, _own_log())
    try:
        write_whole(path, json.dumps(asdict(record)).encode())
    except OSError as error:
        log.warning("%s cannot be written (%s): status and stop will not find this process", path, error.strerror)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def _own_log() -> str | None:
    """The file that this process logs to, if it is one."""
    handlers = logging.getLogger().handlers
    return next((each.baseFilename for each in handlers if isinstance(each, RotatingFileHandler)), None)


def read_record(db: Path) -> Record | None:
    """What the process that records into a ledger says of itself; None where none does, or it cannot be told."""
    record = _read(record_path(db))
    if record is None or not is_alive(record):
        return None
    return record if is_written(db) else None


def is_alive(record: Record) -> bool:
    """Whether the very process lives that wrote the record."""
    return record.process_start != "" and process_start(record.pid) == record.process_start


def _read(path: Path) -> Record | None:
    """A record that this user wrote: another's might lead us to a process of ours that is none of it."""
    try:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - it follows no link
            found = os.fstat(file.fileno())
            is_ours = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
            text = file.read(RECORD_MAX_BYTES) if is_ours and stat.S_ISREG(found.st_mode) else b""
        told = json.loads(text)
        record = Record(**{field.name: told[field.name] for field in fields(Record)})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return record if record.is_sound else None


def process_start(pid: int) -> str | None:
    """What the platform tells of the start of a living process, to compare; None: there is none, or it cannot tell."""
    if sys.platform == "linux":
        return _start_from_proc(pid)
    if sys.platform == "win32":
        command = f"(Get-Process -Id {pid}).StartTime.ToFileTimeUtc()"
        return _said(["powershell", "-NoProfile", "-NonInteractive", "-Command", command])
    return start_from_ps(pid)


def _start_from_proc(pid: int) -> str | None:
    """The machine's boot and the clock ticks from there to the start: no clock that is set moves them."""
    try:
        told = Path(f"/proc/{pid}/stat").read_bytes()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    values = told.rpartition(b")")[2].split()  # the name before it may hold anything; then state is the 3rd of proc(5)
    return None if values[0] in (b"Z", b"X") else f"{boot} {int(values[19])}"


def start_from_ps(pid: int) -> str | None:
    """As `process_start`, from POSIX `ps`: to the second."""
    said = _said(["ps", "-o", "stat=", "-o", "lstart=", "-p", str(pid)])
    state, _, start = (said or "").partition(" ")
    return None if state.startswith("Z") else start.strip() or None


def _said(command: list[str]) -> str | None:
    environ = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def write_whole(path: Path, data: bytes) -> None:
    """Puts a file in place at once, for this user only: who reads it meets the old or the new one. Raises OSError."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise

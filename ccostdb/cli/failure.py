"""Turns what a person can mend into one line, a hint and an exit status. A bug keeps its traceback."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

import click

from ccostdb.cli.options import LEDGER
from ccostdb.errors import CcostError, StoreBusy

if TYPE_CHECKING:
    from pathlib import Path

_MAKE_ROOM = "Make room and run the same command again. What is stored stays; what a stream told since may be lost."
_BY_ERRNO = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.EFBIG,
    errno.EIO,
    errno.EDQUOT,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
}


INTERRUPTED = 130  # as a shell says it of Ctrl-C; for SIGTERM the same


class Failure(click.ClickException):
    """One sentence on stderr, a hint under it, exit status 1."""

    def __init__(self, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.hint = hint

    def show(self, file: IO[Any] | None = None) -> None:
        from ccostdb.cli.streams import wrapped
        from ccostdb.words import printable

        for text in (f"Error: {self.message}", self.hint):
            if text:
                click.echo(wrapped(printable(text), sys.stderr), file=file, err=file is None)


@contextmanager
def guarded(ctx: click.Context) -> Iterator[None]:
    """Runs a command; what a person can mend leaves as Failure, an ended pipe and Ctrl-C leave quietly."""
    from ccostdb.cli.streams import ready_streams

    ready_streams()
    try:
        yield
        sys.stdout.flush()
    except StoreBusy as error:
        raise Failure(*_with_holder(error, ctx.meta.get(LEDGER))) from error
    except CcostError as error:
        raise Failure(error.message, error.hint) from error
    except KeyboardInterrupt:
        ctx.exit(INTERRUPTED)
    except BrokenPipeError:
        _drop_stdout()
        ctx.exit(0)
    except OSError as error:
        if error.errno not in _BY_ERRNO:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise Failure(f"{where}{error.strerror}.", None) from error
    except Exception as error:
        code = getattr(error, "sqlite_errorcode", None)
        known = _of_sqlite(code & 0xFF) if isinstance(code, int) else None
        if known is None:
            raise
        path = f": {ctx.meta[LEDGER]}" if LEDGER in ctx.meta else ""
        raise Failure(f"{known[0]} ({error}){path}.", known[1]) from error


def _of_sqlite(code: int) -> tuple[str, str] | None:
    """What a person can mend, and how, by SQLite's primary result code (https://sqlite.org/rescode.html)."""
    import sqlite3  # here, where it has failed, it is loaded; above, it would cost every command its start

    is_held = ("Another process holds the ledger", "Try again, or end that process.")
    return {
        sqlite3.SQLITE_PERM: ("SQLite may not open the ledger", "Check who owns the file and its folder."),
        sqlite3.SQLITE_BUSY: is_held,
        sqlite3.SQLITE_LOCKED: is_held,
        sqlite3.SQLITE_READONLY: ("The ledger cannot be written", "Check who owns the file and its folder."),
        sqlite3.SQLITE_IOERR: ("The ledger cannot be read or written", "Check that its disk is sound and has room."),
        sqlite3.SQLITE_CORRUPT: ("The ledger is damaged", "Restore a backup, or look closer with ccostdb doctor."),
        sqlite3.SQLITE_FULL: ("The disk is full", _MAKE_ROOM),
        sqlite3.SQLITE_CANTOPEN: ("The ledger cannot be opened", "Check the path and who owns its folder."),
        sqlite3.SQLITE_NOTADB: ("The file is not a SQLite database", "Name another with --db."),
    }.get(code)


def _with_holder(error: StoreBusy, db: Path | None) -> tuple[str, str | None]:
    """The sentence and the hint, with the process that holds the lock, where that has said who it is."""
    from ccostdb.daemon.record import read_record

    holder = read_record(db) if db else None
    if holder is None:
        return error.message, error.hint
    return f"{error.message.rstrip('.')} (pid {holder.pid}).", error.hint


def _drop_stdout() -> None:
    """Points stdout to nowhere, so that Python's own flush at exit has nothing to complain about."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

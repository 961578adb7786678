"""How a file of rows comes to be: whole, for its owner only, or not at all."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ccostdb.errors import BadArgument


def refuse_ledger(path: Path, db: Path) -> None:
    """Raises BadArgument where a file is the ledger, by whatever name, or one of those that lie beside it."""
    real = db.resolve()
    sides = [real, *(Path(f"{real}{end}") for end in ("-wal", "-shm", "-journal", ".lock", ".daemon"))]
    is_same = any(path.exists() and each.exists() and path.samefile(each) for each in sides)
    if is_same or path.resolve() in sides or any(_is_copy(path.resolve().name, each.name) for each in (real, db)):
        raise BadArgument(f"{path} is the ledger, or a file of its own.", "Choose another with -o FILE.")


def _is_copy(name: str, ledger: str) -> bool:
    """Whether a name is that of a backup."""
    dated = rf"{re.escape(Path(ledger).stem)}-[0-9]{{8}}T[0-9]{{6}}Z(_[0-9]+)?\.db"
    return bool(re.fullmatch(rf"{dated}|{re.escape(ledger)}\.schema-[0-9.]+\.backup", name))


@contextmanager
def _ending() -> Iterator[None]:
    """Lets a signal that would end the process at once raise SystemExit: what is unfinished is deleted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file, mode 0600, that appears whole as the block ends or not at all. A device is written directly."""
    if path.exists() and not path.is_file() and not path.is_dir():
        with path.open("wb") as out:
            yield out
        return
    if path.is_dir() or not path.parent.is_dir():
        reason = "it is a folder" if path.is_dir() else "its folder does not exist"
        raise BadArgument(f"{path} cannot be written: {reason}.")
    import tempfile

    handle, unfinished = tempfile.mkstemp(prefix=".ccostdb-", suffix=".unfinished", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out, _ending():
            yield out
            out.flush()
            os.fsync(handle)
        Path(unfinished).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(unfinished).unlink()
        raise

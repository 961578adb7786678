"""Files that are read on as they grow: how one is opened, and by what it is known again.

It is the same file while its first bytes are the same, and what was read of it stands while those before the offset
are. Follows no link, waits for no pipe.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from ccostdb.model import Position

HEAD_BYTES = 1024
TAIL_BYTES = 1024
CAN_FOLLOW = hasattr(os, "pread")  # Windows has none of what is needed here


@contextmanager
def open_regular(path: str) -> Iterator[int]:
    """The descriptor of a file. What is no file or became a link is as good as gone, and a pipe is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(errno.ENOENT, "it is no regular file", path)
        yield descriptor
    finally:
        os.close(descriptor)


def head_of(descriptor: int) -> tuple[int, bytes]:
    """How many first bytes there are, of HEAD_BYTES, and their hash."""
    head = os.pread(descriptor, HEAD_BYTES, 0)
    return len(head), hashlib.sha256(head).digest()


def is_same_head(descriptor: int, known: Position) -> bool:
    """Whether a file begins as it did; one of which nothing is known does."""
    head = os.pread(descriptor, known.head_bytes or 0, 0)
    return known.head_sha256 in (None, hashlib.sha256(head).digest())


def tail_sha256(descriptor: int, offset: int) -> bytes:
    """The hash of what stands before an offset: less than TAIL_BYTES only at the start of a file, or beyond its end."""
    start = max(0, offset - TAIL_BYTES)
    return hashlib.sha256(os.pread(descriptor, offset - start, start)).digest()

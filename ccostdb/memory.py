"""What a process does about its memory while much is read, and afterwards: it may run for weeks."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def spent_freely() -> Iterator[None]:
    """No search for reference cycles: an import makes none, and looking for them costs it a tenth."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def give_back() -> None:
    """Returns what was freed to the system, where that has to be said: glibc keeps what an import took."""
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # another C library has none
        if trim is not None:
            trim(0)

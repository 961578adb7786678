"""What an import asks of the machine, and what it gives back afterwards: the process may run for weeks."""

from __future__ import annotations

import gc
import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def without_cycles() -> Iterator[None]:
    """No search for reference cycles: an import makes none, and looking for them costs it a tenth."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keeps the threads that run now on one core, where the system can be told so.

    Those of an import work in turns, and each finds in the core's cache what the one before it has left there: a
    seventh less time, by the processor's clock as by the wall's. Others that want the core are moved to another.
    """
    if sys.platform != "linux":
        yield
        return
    before = {}
    core = random.choice(sorted(os.sched_getaffinity(0)))
    for thread in threading.enumerate():
        if thread.native_id is not None:
            with suppress(OSError):  # it has ended, or may not
                before[thread.native_id] = os.sched_getaffinity(thread.native_id)
                os.sched_setaffinity(thread.native_id, {core})
    try:
        yield
    finally:
        for native_id, cores in before.items():
            with suppress(OSError):
                os.sched_setaffinity(native_id, cores)


def give_back_memory() -> None:
    """Returns what was freed to the system, where that has to be said: glibc keeps what an import took."""
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # another C library has none
        if trim is not None:
            trim(0)

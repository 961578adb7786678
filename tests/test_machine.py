"""What an import asks of the machine is given back, whatever happens."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from ccostdb.machine import give_back_memory, on_one_core, without_cycles


@pytest.fixture
def other_thread() -> Iterator[int]:
    """A thread that waits, by its number in the system."""
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    assert thread.native_id is not None
    yield thread.native_id
    done.set()
    thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told")
def test_every_thread_is_on_the_same_core_for_as_long_as_was_asked(other_thread: int) -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(ZeroDivisionError), on_one_core():
        assert os.sched_getaffinity(0) == os.sched_getaffinity(other_thread)
        assert len(os.sched_getaffinity(0)) == 1
        raise ZeroDivisionError
    assert os.sched_getaffinity(0) == os.sched_getaffinity(other_thread) == before


def test_cycles_are_searched_for_again() -> None:
    with pytest.raises(ZeroDivisionError), without_cycles():
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled()


def test_memory_can_be_given_back_at_any_time() -> None:
    give_back_memory()

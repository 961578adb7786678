"""Processes that record, or only say so, for tests of who runs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from commands import environment

BOUND_S = 60.0
SLEEP = "import sys, time; print(flush=True); time.sleep(600)"
HOLD = """
import signal, sys, time
from pathlib import Path
from ccostdb.daemon.record import recorded
from ccostdb.lock import writing_lock
from ccostdb.settings import Settings
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
settings = Settings(db=Path(sys.argv[1]))
with writing_lock(settings.db):
    if "mute" in sys.argv:
        print("up", flush=True)
        time.sleep(600)
    with recorded(settings, None):
        print("up", flush=True)
        time.sleep(600)
"""


@contextmanager
def process(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Python with these words, from its first line on; ended in any case."""
    with subprocess.Popen([sys.executable, *words], env=environment(), stdout=subprocess.PIPE, text=True) as made:
        assert made.stdout is not None
        made.stdout.readline()
        try:
            yield made
        finally:
            made.kill()


def wait_for(is_so: Callable[[], object]) -> None:
    until = time.monotonic() + BOUND_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)

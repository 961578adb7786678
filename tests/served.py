"""Asks a served ledger: a process of its own over HTTP, or Datasette in this process."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from commands import environment

from ccostdb.serve import make_datasette
from ccostdb.settings import Settings

BOUND_S = 60.0  # only a bound


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: HTTPMessage
    text: str


def ask(url: str, method: str = "GET", **headers: str) -> Answer:
    """One request; the address may have a path."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=BOUND_S)) as connection:
        connection.request(method, f"{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}", headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode())


def get(db: Path, *paths: str) -> list[Any]:
    """The answers of Datasette in this process, in turn."""

    async def ask_all() -> list[Any]:
        datasette = make_datasette(Settings(db))
        try:
            return [await datasette.client.get(path) for path in paths]
        finally:
            datasette.executor.shutdown()

    return asyncio.run(ask_all())


@contextmanager
def process(db: Path, *words: str, stderr: int | None = subprocess.PIPE) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`ccostdb serve` and its address, from when it says that. One that serves for long gets no pipe for stderr."""
    command = [sys.executable, "-m", "ccostdb", "serve", "--db", str(db), *(words or ("--port", "0"))]
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": stderr, "text": True}
    with subprocess.Popen(command, env=environment(), **pipes) as child:
        try:
            assert child.stdout is not None
            said = child.stdout.readline()
            found = re.search(r"(http://[\d.:]+)/ |unix:(\S+) ", said)
            assert found, f"it said {said!r}"
            yield child, found[1] or found[2]
        finally:
            child.kill()


def ended(child: subprocess.Popen[str], number: int = signal.SIGTERM) -> str:
    """Tells it to stop; what it wrote to stderr, after it ended with 0."""
    child.send_signal(number)
    _, said = child.communicate(timeout=BOUND_S)
    assert child.returncode == 0, said
    return said

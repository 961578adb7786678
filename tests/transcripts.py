"""Transcript lines for tests, as Claude Code writes them, and ledgers made of them."""

from __future__ import annotations

import atexit
import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from ccostdb import ingest
from ccostdb.ingest import Outcome
from ccostdb.lock import writing_lock
from ccostdb.schema import prepare
from ccostdb.settings import Settings

CALLS = "select * from calls order by call_id"


def line(
    message_id: str | None = "msg_01AAAAAAAAAAAAAAAAAAAAAAAA",
    output: int = 10,
    *,
    at: str = "2026-08-12T12:00:00.000Z",
    request_id: str | None = "req_1",
    session: str = "session-1",
    model: str = "claude-sonnet-4-5-20250929",
    usage: dict[str, Any] | None = None,
    content: Any = None,
    **more: Any,
) -> dict[str, Any]:
    """One assistant line. `usage` is laid over the token counts; `more` over the line."""
    counts = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output,
        **(usage or {}),
    }
    found: dict[str, Any] = {
        "parentUuid": None,
        "isSidechain": False,
        "cwd": "/home/dev/src/web",
        "sessionId": session,
        "version": "2.1.40",
        "gitBranch": "main",
        "message": {"model": model, "id": message_id, "type": "message", "role": "assistant",
                    "content": content or [], "usage": counts},
        "requestId": request_id,
        "type": "assistant",
        "timestamp": at,
        **more,
    }  # fmt: skip
    if request_id is None:
        del found["requestId"]
    return found


def text_of(*lines: dict[str, Any] | str) -> str:
    """Lines of a transcript, each ended."""
    return "".join(
        (each if isinstance(each, str) else json.dumps(each, separators=(",", ":"))) + "\n" for each in lines
    )


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    """A transcript of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text_of(*lines))
    return path


@cache
def empty_ledger() -> Path:
    """A new ledger, made once for all tests of this process: making one takes a second, copying it none."""
    folder = Path(tempfile.mkdtemp(prefix="ccostdb-test-"))
    atexit.register(shutil.rmtree, folder)
    settings = Settings(db=folder / "empty.db", home_tz="UTC")
    with writing_lock(settings.db):
        prepare(settings)
    return settings.db


def settings_for(folder: Path, *paths: Path, **more: Any) -> Settings:
    """Settings with a ledger of its own in `folder`, in UTC."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "ledger.db").exists():
        shutil.copy(empty_ledger(), folder / "ledger.db")
    return Settings(db=folder / "ledger.db", home_tz="UTC", claude_paths=paths or (folder / "projects",), **more)


def import_once(settings: Settings) -> Outcome:
    """What `ccostdb ingest claude-code --once` does."""
    (outcome,) = ingest.run(settings, ingest.Asked("claude-code", once=True))
    return outcome


def rows(settings: Settings, query: str = CALLS) -> list[dict[str, Any]]:
    """What a reader sees."""
    with closing(sqlite3.connect(f"{settings.db.as_uri()}?mode=ro", uri=True)) as con:
        con.row_factory = sqlite3.Row
        return [dict(row) for row in con.execute(query)]

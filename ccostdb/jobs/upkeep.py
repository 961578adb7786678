"""What keeps SQLite quick in a process that runs for months. On the writer's connection, between two transactions."""

from __future__ import annotations

from pathlib import Path

from ccostdb.lock import real_path
from ccostdb.store import Store

LARGE_WAL_BYTES = 4 * 1024 * 1024


async def optimize(store: Store) -> None:
    """Refreshes the statistics by which SQLite plans, where they are old."""
    async with store.alone() as db:
        await db.execute("pragma analysis_limit = 400")  # a look at so many rows will do, however many there are
        await db.execute("pragma optimize")


async def checkpoint(store: Store, path: Path) -> str | None:
    """Writes the WAL into the database and empties it, unless someone reads an older state. None: it was small."""
    wal = Path(f"{real_path(path)}-wal")
    async with store.alone() as db:
        before = wal.stat().st_size if wal.exists() else 0
        ((waits_ms,),) = await db.execute_fetchall("pragma busy_timeout")
        await db.execute("pragma busy_timeout = 0")  # else it would wait for readers, and everyone for it
        try:
            ((is_read, _, _),) = await db.execute_fetchall("pragma wal_checkpoint(truncate)")
        finally:
            await db.execute(f"pragma busy_timeout = {waits_ms}")
    if before < LARGE_WAL_BYTES:
        return None
    return f"{before // 1_000_000} MB of WAL {'kept: someone reads them' if is_read else 'emptied'}"

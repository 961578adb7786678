"""What is stored of a source that is asked again and again: only what differs from it is a new sample."""

from __future__ import annotations

from ccostdb.store import Store


async def last_samples(store: Store, source_id: int) -> dict[str, tuple[str | None, str | None]]:
    """Body and error of each endpoint's last sample."""
    last = "select max(sample_id) from sample where source_id = ? group by endpoint"
    query = f"select endpoint, body, error from sample where sample_id in ({last})"
    async with store.db.execute(query, (source_id,)) as cursor:
        return {row[0]: (row[1], row[2]) async for row in cursor}

"""Facts and the price book → costs, computed again. Costs are derived: this may run at any time, and again."""

from __future__ import annotations

from ccostdb.model import Cost, Usage
from ccostdb.resources import sql
from ccostdb.store import Store

_UPDATE = "update call set computed_nusd = ?, uncached_nusd = ? where rowid = ?"


async def reprice(store: Store) -> int:
    """Computes the cost of every call from the price book, brings the rollups along; returns how many changed.

    Each page of calls is a transaction. Ended early it leaves costs of two books, which running it again mends.
    """
    book = await store.price_book()
    after = changed = 0
    while True:
        page = list(await store.db.execute_fetchall(sql("store/calls_to_price.sql"), {"after": after}))
        if not page:
            break
        updates = []
        for rowid, occurred_ns, model, computed_nusd, uncached_nusd, *usage in page:
            cost = book.cost(model, occurred_ns, Usage(*usage))
            if cost != Cost(computed_nusd, uncached_nusd):
                updates.append((cost.computed_nusd, cost.uncached_nusd, rowid))
        after = page[-1][0]
        if updates:
            async with store.transaction() as db:
                await db.executemany(_UPDATE, updates)
            changed += len(updates)
    await store.refresh()
    return changed

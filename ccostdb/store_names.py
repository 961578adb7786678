"""The names that calls have → the ids that their rows have instead. Each name is stored once, when it is first seen."""

from __future__ import annotations

from collections.abc import Collection

import aiosqlite

from ccostdb.model import Call
from ccostdb.prices.book import provider_of
from ccostdb.store_rows import CONTEXT, Context, Ids, context_of, places


class Names:
    """The ids that are known on one connection. After a transaction that was taken back, they are to be forgotten."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db
        self._ids = Ids.none()

    def forget(self) -> None:
        """Learns all of them anew: some may not be stored."""
        self._ids = Ids.none()

    async def ids_of(self, calls: Collection[Call]) -> Ids:
        """Ids for every name of these calls, and of calls before. New names are stored, in the caller's transaction."""
        ids = self._ids
        await self._learn_models({call.claim.model for call in calls})
        await self._learn("project", ids.project, {call.project for call in calls})
        await self._learn("agent", ids.agent, {call.claim.agent for call in calls})
        await self._learn("session", ids.session, {call.session for call in calls})
        await self._learn_contexts({context_of(call.claim) for call in calls})
        return ids

    async def _learn_models(self, names: set[str | None]) -> None:
        if new := [(name, provider_of(name)) for name in names - self._ids.model.keys() if name is not None]:
            await self._db.executemany("insert or ignore into model (name, provider) values (?, ?)", new)
        await self._learn("model", self._ids.model, names)

    async def _learn(self, table: str, known: dict[str | None, int], names: set[str | None]) -> None:
        new = tuple(name for name in names - known.keys() if name is not None)
        if new:
            await self._db.executemany(f"insert or ignore into {table} (name) values (?)", [(name,) for name in new])
            query = f"select name, {table}_id from {table} where name in {places(new)}"
            async with self._db.execute(query, new) as cursor:
                known.update({name: number async for name, number in cursor})

    async def _learn_contexts(self, contexts: set[Context]) -> None:
        """The ids of combinations. NULL and '' are not the same."""
        known, names = self._ids.context, ", ".join(CONTEXT)
        if contexts - known.keys():
            stored = await self._db.execute_fetchall(f"select {names}, context_id from context")
            known.update({tuple(row[:-1]): row[-1] for row in stored})
            for new in contexts - known.keys():
                values = places(CONTEXT)
                done = await self._db.execute(f"insert into context ({names}) values {values}", new)
                known[new] = int(done.lastrowid or 0)

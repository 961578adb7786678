"""The names that calls have → the ids that their rows have instead. Each name is stored once, when it is first seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

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
            # One statement for those that are stored and those that are not: each costs a change of threads.
            put = f"insert into {table} (name) values {', '.join(['(?)'] * len(new))}"
            found = f"{put} on conflict (name) do update set name = name returning name, {table}_id"
            known.update((name, number) for name, number in await self._db.execute_fetchall(found, new))

    async def _learn_contexts(self, contexts: set[Context]) -> None:
        """The ids of combinations. NULL and '' are not the same."""
        known, names = self._ids.context, ", ".join(CONTEXT)
        query = f"select {names}, context_id from context where context_id > ?"
        if contexts - known.keys():  # also those that are stored, the first time
            known.update(_by_name(await self._db.execute_fetchall(query, (max(known.values()),))))
        if new := contexts - known.keys():
            await self._db.executemany(f"insert into context ({names}) values {places(CONTEXT)}", list(new))
            known.update(_by_name(await self._db.execute_fetchall(query, (max(known.values()),))))


def _by_name(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[Context, int]]:
    """Rows that end with the id of what they name."""
    return ((tuple(row[:-1]), row[-1]) for row in rows)

"""The names that calls have → the ids that their rows have instead. Each name is stored once, when it is first seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import aiosqlite

from ccostdb.model import Call
from ccostdb.prices.names import provider_of
from ccostdb.store_rows import CONTEXT, Context, Ids, context_of, places

_More = Mapping[str, Callable[[str], str | None]]
_NO_MORE: _More = {}


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
        await self._learn("model", ids.model, {call.claim.model for call in calls}, {"provider": provider_of})
        await self._learn("project", ids.project, {call.project for call in calls})
        await self._learn("agent", ids.agent, {call.claim.agent for call in calls})
        await self._learn("session", ids.session, {call.session for call in calls})
        await self._learn_contexts({context_of(call.claim) for call in calls})
        return ids

    async def _learn(
        self, table: str, known: dict[str | None, int], names: set[str | None], more: _More = _NO_MORE
    ) -> None:
        """`more`: other columns of a new row, each told by the name."""
        new = [name for name in names - known.keys() if name is not None]
        if new:
            # One statement, for each is a change of threads. A name that is stored is changed to what it is.
            row = places((table, *more))
            put = f"insert into {table} ({', '.join(('name', *more))}) values {', '.join([row] * len(new))}"
            found = f"{put} on conflict (name) do update set name = name returning name, {table}_id"
            values = [value for name in new for value in (name, *(tell(name) for tell in more.values()))]
            known.update((name, number) for name, number in await self._db.execute_fetchall(found, values))

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

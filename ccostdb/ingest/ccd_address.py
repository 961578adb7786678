"""How the ledger names a stream of daemon events: never with what may be a key."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode, urlsplit

from ccostdb.ingest.ccd_rows import NAME
from ccostdb.sources.http_client import server_address
from ccostdb.store import Store

CHOOSING = ("family", "profile")  # which events the stream sends: with another choice it is another source


def address_of(url: str) -> str:
    """The server, its path, and what of the query chooses events. Whatever else stands in a query may be a key."""
    chosen = sorted((name, value) for name, value in parse_qsl(urlsplit(url).query) if name in CHOOSING)
    return server_address(url) + (f"?{urlencode(chosen)}" if chosen else "")


async def strip_addresses(store: Store) -> None:
    """Earlier ledgers kept whole queries. A source stays what it is, beside one that has its new address already."""
    query = "select source_id, address, name from source where kind = ? and address like '%?%'"
    known = await store.db.execute_fetchall(query, (NAME,))
    stripped = {row[0]: (row[2], address_of(row[1])) for row in known if row[1] != address_of(row[1])}

    async def put() -> None:
        async with store.transaction() as db:
            for source_id, (name, address) in stripped.items():
                taken = await db.execute_fetchall(
                    "select 1 from source where kind = ? and address = ?", (NAME, address)
                )
                own = f"{address}#{source_id}" if list(taken) else address
                shown = name if name == NAME else f"{NAME} {own.removeprefix('http://')}"
                update = "update source set address = ?, name = ? where source_id = ?"
                await db.execute(update, (own, shown, source_id))

    if stripped:
        await store.patience.insist(put)

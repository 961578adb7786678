"""`ccostdb serve`: Datasette over the ledger, read-only, on this machine alone, until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread, Timer

from datasette.app import Datasette
from datasette.plugins import pm

import ccostdb.datasette_plugin
from ccostdb.datasette_plugin.database import NAME, LedgerDatabase
from ccostdb.datasette_plugin.metadata import load_metadata
from ccostdb.datasette_plugin.reading import ledger_of, read, touch_time_index
from ccostdb.errors import CcostError
from ccostdb.ingest import stop_on_signals
from ccostdb.loopback import QuietServer, listen
from ccostdb.schema import open_reader
from ccostdb.settings import Settings

HOST = "127.0.0.1"
TAKE_S = 0.4  # for the last bytes of what was read, once nothing is
END_S = 1.7  # from the signal: then it ends, whatever still runs

DATASETTE_SETTINGS = {
    "allow_csv_stream": False,  # it cuts off at a size, and writes errors into a file with status 200: ours does not
    "allow_download": False,  # a copy of a file that is being written is none; `ccostdb backup` makes one
    "default_cache_ttl": 0,  # the ledger grows by the second
    "facet_time_limit_ms": 500,  # asked for by hand; at 10 million calls a facet takes longer, and says so
    "max_returned_rows": 5000,  # a chart has fewer points; a page with more cells takes seconds
    "num_sql_threads": 4,  # as many charts are drawn at once
    "sql_time_limit_ms": 10_000,  # of one's own SQL, on a ledger that is not in memory yet
    "suggest_facets": False,  # tries every column, each a scan of all calls
    "truncate_cells_html": 300,
}


class _Served(Datasette):  # type: ignore[misc]
    async def refresh_schemas(self) -> None:
        """Does nothing: it copies the schema before each page into a database that nobody reads."""


def make_datasette(settings: Settings) -> Datasette:
    """A Datasette with our plugin, whose one database `ccostdb` is the ledger of the settings."""
    if not pm.has_plugin(NAME):
        pm.register(ccostdb.datasette_plugin, NAME)
    datasette = _Served([], metadata=load_metadata(), settings=DATASETTE_SETTINGS)
    datasette.remove_database("_memory")
    datasette.add_database(LedgerDatabase(datasette, settings), name=NAME)
    return datasette


def run(
    settings: Settings,
    *,
    port: int = 0,
    uds: Path | None = None,
    is_opened: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Serves until SIGINT or SIGTERM, and ends within two seconds of it. `say` is told the address.

    `port` 0: any that is free. `uds`: a Unix socket in its place, which no browser opens. `is_opened`: in the browser,
    too.
    """
    open_reader(settings, is_priced=True, say=say).close()
    with ExitStack() as place:
        listener = place.enter_context(_listening(port, uds))
        url = f"unix:{uds}" if uds else f"http://{HOST}:{listener.getsockname()[1]}/"
        asyncio.run(_run(make_datasette(settings), listener, url, say, place.close, is_opened=is_opened))


async def _run(
    datasette: Datasette,
    listener: socket.socket,
    url: str,
    say: Callable[[str], None],
    leave: Callable[[], None],
    *,
    is_opened: bool,
) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    server = QuietServer(datasette.app(), lifespan="on")
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    touching = asyncio.create_task(read(datasette, touch_time_index))
    say(f"Serving {ledger_of(datasette).settings.db} at {url} (Ctrl-C stops it)")
    if is_opened:
        Thread(target=webbrowser.open, args=(url,), daemon=True).start()  # a browser of the terminal would hold us up
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        _end_soon(leave)
    server.should_exit = True
    await ledger_of(datasette).stop()
    await asyncio.gather(touching, return_exceptions=True)
    await asyncio.wait((serving,), timeout=TAKE_S)
    server.force_exit = True
    await serving


def _end_soon(leave: Callable[[], None]) -> None:
    """Ends the process though a thread is amid a step of SQLite, which nothing interrupts. Nothing is being written."""

    def end() -> None:
        try:
            leave()
            sys.stdout.flush()
        finally:
            os._exit(0)

    timer = Timer(END_S, end)
    timer.daemon = True
    timer.start()


@contextmanager
def _listening(port: int, uds: Path | None) -> Iterator[socket.socket]:
    """The port, or the Unix socket's file, taken. Raises CcostError where it cannot be had."""
    if uds is None:
        with listen(HOST, port, "Choose another with --port PORT, or 0 for any that is free.") as listener:
            yield listener
        return
    with _unix_listener(uds) as listener:
        made = _identity(uds)
        try:
            yield listener
        finally:
            if made == _identity(uds):
                uds.unlink()


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file lies there, None where there is none."""
    with suppress(OSError):
        found = path.lstat()
        return found.st_dev, found.st_ino
    return None


def _unix_listener(path: Path) -> socket.socket:
    """A socket that only you can reach. One that a process left behind is replaced; any other file is not."""
    if not hasattr(socket, "AF_UNIX"):
        raise CcostError("This system has no Unix sockets.", "Use --port.")
    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.is_socket() and listener.connect_ex(str(path)) == errno.ECONNREFUSED:
            path.unlink()
        umask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(umask)
    except OSError as error:
        listener.close()
        reason = "it exists" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise CcostError(f"The socket {path} cannot be made: {reason}.", "Choose another with --uds FILE.") from error
    listener.listen()
    return listener

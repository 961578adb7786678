"""The process that keeps running: sources, schedule and health endpoint around one open ledger.

The step is elsewhere (`ingest`, `jobs`, `endpoint`); here is what starts them, and ends them in good order.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ccostdb import __version__
from ccostdb.daemon.record import recorded
from ccostdb.errors import CcostError
from ccostdb.ingest import Asked, Outcome, record, stop_on_signals
from ccostdb.jobs.schedule import Schedule
from ccostdb.jobs.upkeep import checkpoint
from ccostdb.settings import Settings
from ccostdb.store import open_store

if TYPE_CHECKING:
    from ccostdb.health.endpoint import Endpoint

log = logging.getLogger(__name__)


def run(settings: Settings, asked: Asked, *, health_port: int = 0, is_port_asked: bool = False) -> list[Outcome]:
    """Records what is asked until SIGINT or SIGTERM, and does all that is scheduled meanwhile.

    `health_port` 0: no endpoint. A busy one is an error where it was asked for, else a warning. Raises StoreBusy.
    """
    return asyncio.run(_run(settings, asked, health_port, is_port_asked))


async def _run(settings: Settings, asked: Asked, health_port: int, is_port_asked: bool) -> list[Outcome]:
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with open_store(settings, stop) as store:
        with _endpoint(settings, health_port, is_port_asked) as endpoint:
            if endpoint:
                store.patience.on_trouble = partial(setattr, endpoint, "trouble")
            url = endpoint.url if endpoint else None
            with recorded(settings, url), _told(settings, url):
                schedule = Schedule(store, settings, stop)
                await schedule.start()
                try:
                    outcomes = await record(store, settings, asked, stop)
                finally:
                    stop.set()
                    await schedule.end()
            await checkpoint(store, settings.db)
    return outcomes


@contextmanager
def _told(settings: Settings, url: str | None) -> Iterator[None]:
    """Says in the log when the process begins to record, and when it has ended that."""
    pid, health = os.getpid(), f"{url}/health" if url else "no health endpoint"
    log.info("ccostdb %s records into %s: process %d, %s", __version__, settings.db, pid, health)
    try:
        yield
    finally:
        log.info("process %d records no more", pid)


@contextmanager
def _endpoint(settings: Settings, port: int, is_port_asked: bool) -> Iterator[Endpoint | None]:
    """The health endpoint while the block runs; None where there is to be none, or another holds its usual port."""
    if port == 0:
        yield None
        return
    from ccostdb.health.endpoint import Endpoint

    endpoint = Endpoint(replace(settings, health_port=port))
    try:
        endpoint.start()
    except CcostError as error:
        if is_port_asked or settings.origins.get("health_host") == "command line":
            raise
        log.warning("%s Going on without. %s", error.message, error.hint)
        yield None
        return
    try:
        yield endpoint
    finally:
        endpoint.stop()

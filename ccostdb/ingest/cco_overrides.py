"""Which model was used instead: CCO's stream says only that an override happened, its statistics say to what."""

from __future__ import annotations

import asyncio
import time

from ccostdb.errors import Rejected
from ccostdb.ingest.last_samples import last_samples
from ccostdb.model import Batch, Reject, Sample
from ccostdb.settings import Settings
from ccostdb.sources import samples
from ccostdb.sources.polling import Answer, NoAnswer, Server
from ccostdb.sources.samples import LARGE_BYTES, MAX_ANSWER_BYTES, Manner
from ccostdb.stopping import unless
from ccostdb.store import Store

PATH = "/api/overrides/stats"
EVERY_S = 3.0
ANSWER_S = 3.0
TRIES = 2
_MANNER = Manner(is_ordered=True)  # the newest override first


class Overrides:
    """Asks beside the stream, and never in its way: a task that lives for one question.

    Told of each frame. One that brings an override is a reason to ask, at most every EVERY_S; where the answer fails,
    the next frame is a reason to ask once more. A sample is kept where it differs from the last.
    """

    def __init__(self, store: Store, settings: Settings, source_id: int, run_id: int) -> None:
        self._store = store
        self._settings = settings
        self._source_id = source_id
        self._run_id = run_id
        self._tries = 0
        self._asked_s: float | None = None
        self._task: asyncio.Task[None] | None = None

    def notice(self, *, is_override: bool) -> None:
        """A frame came. Raises what went wrong with the ledger when the last answer was stored."""
        if is_override:
            self._tries = TRIES
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()
        if self._tries and self._task is None:
            self._task = asyncio.create_task(self._ask())

    async def finish(self, stop: asyncio.Event) -> None:
        """Waits for what is under way, which is bounded, but no longer than until `stop`."""
        if self._task is not None:
            task, self._task = self._task, None
            await unless(stop, task)

    async def cancel(self) -> None:
        """Ends what is under way."""
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait((task,))

    async def _ask(self) -> None:
        if self._asked_s is not None:
            await asyncio.sleep(self._asked_s + EVERY_S - time.monotonic())
        self._asked_s = time.monotonic()
        self._tries -= 1
        tries = self._tries
        async with Server(self._settings.cco_url, answer_s=ANSWER_S) as server:
            answer = await server.get(PATH, min(self._settings.frame_max_bytes, MAX_ANSWER_BYTES))
        if isinstance(answer, NoAnswer):
            return
        now_ns, rejects = time.time_ns(), list[Reject]()
        try:
            sample = await _understood(answer, now_ns, self._settings.payload_max_bytes)
        except Rejected as rejected:
            sample = Sample(PATH, now_ns, None, rejected.reason)
            rejects = [Reject(now_ns, rejected.reason)]
        if sample.error is None and self._tries == tries:  # no override came meanwhile
            self._tries = 0
        last = (await last_samples(self._store, self._source_id)).get(PATH)
        if last is None or _meaning(sample.body, sample.error) != _meaning(*last):
            batch = Batch(self._source_id, self._run_id, now_ns, samples=[sample], rejects=rejects)
            await self._store.append(batch)


async def _understood(answer: Answer, now_ns: int, max_bytes: int) -> Sample:
    def parse() -> Sample:
        return samples.parse(PATH, answer.status, answer.raw, now_ns, manner=_MANNER, max_bytes=max_bytes)

    return await asyncio.to_thread(parse) if len(answer.raw or b"") > LARGE_BYTES else parse()


def _meaning(body: str | None, error: str | None) -> bytes:
    return samples.meaning(body, error, _MANNER)

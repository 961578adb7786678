"""CCA's endpoints, asked in turn, round after round: an answer that says something new is a sample."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from ccostdb.errors import CcostError, Rejected
from ccostdb.ingest.outcome import Outcome
from ccostdb.model import Batch, Reject, Sample
from ccostdb.settings import Settings
from ccostdb.sources import cca
from ccostdb.sources.cco_stream import server_address
from ccostdb.sources.polling import Answer, NoAnswer, Server
from ccostdb.store import Store

NAME = "cca"
PROBE_S = 2.0
HEARTBEAT_S = 60.0
NOT_THERE_AGAIN_S = 3600.0  # what a version lacks, it lacks until another is installed
MOST_WAITS = 3  # for one endpoint in one round
MOST_SAID = 100
log = logging.getLogger(__name__)

T = TypeVar("T")


async def find_cca(settings: Settings) -> Settings | None:
    """The settings with which CCA can be read, None where it is not there: its /health needs no key, and gets none."""
    urls = (settings.cca_url,) if "cca_url" in settings.origins else (settings.cca_url, *cca.USUAL_URLS)
    for url in dict.fromkeys(urls):
        async with Server(url, answer_s=PROBE_S) as server:
            answer = await server.get(cca.HEALTH, settings.frame_max_bytes)
        if isinstance(answer, Answer) and cca.is_health(answer):
            return replace(settings, cca_url=url)
    return None


async def ingest_cca(store: Store, settings: Settings, *, once: bool, stop: asyncio.Event) -> Outcome:
    """Samples CCA each `cca_interval_s` until `stop`; with `once` asks each endpoint once.

    A server that does not answer is asked again in the next round; with `once` the outcome is then `failed`.
    """
    source_id = await store.source_id(NAME, server_address(settings.cca_url))
    run_id = await store.start_run(source_id, time.time_ns(), "connecting")
    batch = Batch(source_id, run_id, time.time_ns())
    one = _Pass(store, settings, batch, await last_meanings(store, source_id), is_following=not once)
    outcome, began_s = one.outcome, time.monotonic()
    try:
        while not stop.is_set():
            round_s = time.monotonic()
            await one.take_round(stop)
            if once:
                break
            next_s = max(round_s + settings.cca_interval_s, one.not_before_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, next_s - time.monotonic()))
        await one.append()
    except Exception as error:
        message = error.message if isinstance(error, CcostError) else repr(error)
        await store.finish_run(run_id, "failed", message, time.time_ns())
        raise
    outcome.outcome = "stopped" if stop.is_set() else "ok" if one.has_data else "failed"
    outcome.seconds = time.monotonic() - began_s
    await store.finish_run(run_id, outcome.outcome, outcome.error, time.time_ns())
    return outcome


async def last_meanings(store: Store, source_id: int) -> dict[str, bytes]:
    """What each endpoint of a source said last, of all that is stored."""
    query = "select max(sample_id), endpoint, body, error from sample where source_id = ? group by endpoint"
    async with store.db.execute(query, (source_id,)) as cursor:
        return {row[1]: cca.meaning(*row[1:]) async for row in cursor}


@dataclass(slots=True)
class _Pass:
    """What is remembered from one round to the next, and the batch that is not appended yet."""

    store: Store
    settings: Settings
    batch: Batch
    meanings: dict[str, bytes]  # by endpoint, of the last answer that is stored
    is_following: bool
    outcome: Outcome = field(default_factory=lambda: Outcome(NAME))
    has_data: bool = False  # in the last round
    is_heard: bool = False  # in the last round: anything answered
    problems: list[str] = field(default_factory=list)  # of the last round
    not_before_s: float = 0.0  # of the next round; all of these by the monotonic clock
    missing_until_s: dict[str, float] = field(default_factory=dict)  # by endpoint that this version has not
    shown: tuple[str, str | None] | None = None
    said: set[str] = field(default_factory=set)
    appended_s: float = field(default_factory=time.monotonic)

    async def take_round(self, stop: asyncio.Event) -> None:
        """Asks every endpoint that is due, one after the other. Ends early where the rest would fare no better."""
        self.has_data = self.is_heard = False
        self.problems.clear()
        headers = {cca.KEY_HEADER: self.settings.cca_api_key} if self.settings.cca_api_key else {}
        async with Server(self.settings.cca_url, headers) as server:
            for endpoint in cca.ENDPOINTS:
                if time.monotonic() < self.missing_until_s.get(endpoint, 0.0):
                    continue
                answer = await _unless(stop, self._ask(server, endpoint))
                if answer is None:  # told to stop: what this round has seen is kept, what it has not is no failure
                    return
                if not self._take(endpoint, answer):
                    break
        self._turn()
        if self.batch.state or self.batch.samples or time.monotonic() > self.appended_s + HEARTBEAT_S:
            await self.append()

    async def append(self) -> None:
        """Appends the batch and begins the next."""
        batch, outcome = self.batch, self.outcome
        batch.error = outcome.error
        batch.now_ns = time.time_ns()
        await self.store.append(batch)
        outcome.frames += batch.frames
        outcome.events += batch.events
        outcome.rows += len(batch.samples)
        outcome.rejected += len(batch.rejects)
        self.batch = Batch(batch.source_id, batch.run_id, time.time_ns())
        self.appended_s = time.monotonic()

    async def _ask(self, server: Server, endpoint: str) -> Answer | NoAnswer:
        """The answer of an endpoint. Waits where it is told to, unless that is longer than a round."""
        waits = 0
        while True:
            answer = await server.get(endpoint, self.settings.frame_max_bytes)
            wait_s = cca.retry_after_s(answer) if isinstance(answer, Answer) else None
            if wait_s is None or wait_s > self.settings.cca_interval_s or waits == MOST_WAITS:
                self.not_before_s = time.monotonic() + (wait_s or 0.0)
                return answer
            waits += 1
            await asyncio.sleep(wait_s)

    def _take(self, endpoint: str, answer: Answer | NoAnswer) -> bool:
        """One answer. False: there is no use in asking for more now."""
        if isinstance(answer, NoAnswer):
            self.problems.append(f"{endpoint}: {answer.reason}" if answer.is_there else answer.reason)
            return answer.is_there
        self.is_heard = True
        self.batch.frames += 1
        if answer.status == cca.TOO_MANY:  # is about all that ask, not about the endpoint
            self.problems.append("HTTP 429: too many ask at once")
            return False
        self._keep(endpoint, answer)
        if answer.status in cca.UNAUTHORIZED:
            key = "it does not take this key" if self.settings.cca_api_key else "it asks for a key"
            self.problems.append(f"HTTP {answer.status}: {key}; set CCOSTDB_CCA_API_KEY")
            return False
        if answer.status == cca.NOT_FOUND:
            self.missing_until_s[endpoint] = time.monotonic() + NOT_THERE_AGAIN_S
        return True

    def _keep(self, endpoint: str, answer: Answer) -> None:
        """The sample of an answer, if it says something new."""
        now_ns, reject = time.time_ns(), None
        try:
            sample = cca.parse(endpoint, answer.status, answer.raw, now_ns, self.settings.cca_api_key)
        except Rejected as rejected:  # nothing of it is shown: it may be what a model wrote
            reject = Reject(now_ns, rejected.reason)
            sample = Sample(endpoint, now_ns, None, rejected.reason)
        if sample.error is None:
            self.has_data |= endpoint != cca.HEALTH
        elif answer.status not in (cca.NOT_FOUND, *cca.UNAUTHORIZED):
            self.problems.append(sample.error if reject else f"{endpoint}: {sample.error}")
        meaning = cca.meaning(endpoint, sample.body, sample.error)
        if self.meanings.get(endpoint) == meaning:
            return
        self.meanings[endpoint] = meaning
        self.batch.samples.append(sample)
        self.batch.rejects += [reject] if reject else []
        self.batch.events += 1
        self.batch.last_event_ns = now_ns
        if endpoint == cca.HEALTH:  # another version may have what the last one had not
            self.missing_until_s.clear()

    def _turn(self) -> None:
        """Notes the run's state where it, or what is wrong, is another than before. Says each problem once."""
        state = "connected" if self.has_data else "error" if self.is_heard else "disconnected"
        if not self.has_data and not self.problems:
            self.problems.append("what answers is not CCA")
        self.outcome.error = self.problems[0] if self.problems else None
        if state == "connected" and (self.shown is None or self.shown[0] != state):
            self.batch.connections += 1
        if (state, self.outcome.error) != self.shown:
            self.batch.state = state
            self.shown = state, self.outcome.error
        for problem in self.problems:
            if self.is_following and problem not in self.said and len(self.said) < MOST_SAID:
                log.warning("%s: %s", NAME, problem)
                self.said.add(problem)


async def _unless(stop: asyncio.Event, coming: Coroutine[Any, Any, T]) -> T | None:
    """What comes, or None as soon as `stop` is set."""
    task, stopping = asyncio.ensure_future(coming), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        stopping.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)

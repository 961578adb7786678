"""CCA's endpoints, asked in turn, round after round: an answer that says something new is a sample."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field

from ccostdb.errors import Rejected
from ccostdb.ingest.following import Shown, is_heartbeat_due
from ccostdb.ingest.last_samples import last_samples
from ccostdb.ingest.outcome import Outcome, recorded_run
from ccostdb.model import Batch, Reject, Sample
from ccostdb.settings import Settings
from ccostdb.sources import cca
from ccostdb.sources.http_client import server_address
from ccostdb.sources.polling import Answer, NoAnswer, Server
from ccostdb.sources.samples import LARGE_BYTES, MAX_ANSWER_BYTES
from ccostdb.stopping import stopped_within, unless
from ccostdb.store import Store

NAME = "cca"
NOT_THERE_AGAIN_S = 3600.0  # what a version lacks, it lacks until another is installed
KEY_HINT = "Set its key: CCOSTDB_CCA_API_KEY in the environment, or api_key under [sources.cca] in config.toml."
MOST_WAITS = 3  # for one endpoint in one round
log = logging.getLogger(__name__)


async def ingest_cca(store: Store, settings: Settings, *, once: bool, stop: asyncio.Event) -> Outcome:
    """Samples CCA each `cca_interval_s` until `stop`; with `once` asks each endpoint once.

    A server that does not answer is asked again in the next round; with `once` the outcome is then `failed`.
    """
    source_id = await store.source_id(NAME, server_address(settings.cca_url))
    outcome = Outcome(NAME)
    async with recorded_run(store, source_id, "connecting", outcome) as run_id:
        stored = await last_samples(store, source_id)
        meanings = {endpoint: cca.meaning(endpoint, *said) for endpoint, said in stored.items()}
        batch = Batch(source_id, run_id, time.time_ns())
        one = _Pass(store, settings, batch, meanings, outcome, Shown(NAME, log, is_following=not once))
        while not stop.is_set():
            round_s = time.monotonic()
            await one.take_round(stop)
            next_s = max(round_s + settings.cca_interval_s, one.not_before_s)
            if once or await stopped_within(stop, max(0.0, next_s - time.monotonic())):
                break
        await one.append()
        outcome.outcome = "stopped" if stop.is_set() else "ok" if one.has_data else "failed"
    return outcome


@dataclass(slots=True)
class _Pass:
    """What is remembered from one round to the next, and the batch that is not appended yet."""

    store: Store
    settings: Settings
    batch: Batch
    meanings: dict[str, bytes]  # by endpoint, of the last answer that is stored
    outcome: Outcome
    shown: Shown
    has_data: bool = False  # in the last round
    is_heard: bool = False  # in the last round: anything answered
    problems: list[str] = field(default_factory=list)  # of the last round
    not_before_s: float = 0.0  # of the next round; all of these by the monotonic clock
    missing_until_s: dict[str, float] = field(default_factory=dict)  # by endpoint that this version has not
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
                answer = await unless(stop, self._ask(server, endpoint))
                if answer is None:  # told to stop: what this round has seen is kept, what it has not is no failure
                    return
                if not await self._take(endpoint, answer):
                    break
        self._turn()
        if self.batch.state or self.batch.samples or is_heartbeat_due(self.appended_s):
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
            answer = await server.get(endpoint, min(self.settings.frame_max_bytes, MAX_ANSWER_BYTES))
            wait_s = cca.retry_after_s(answer) if isinstance(answer, Answer) else None
            if wait_s is None or wait_s > self.settings.cca_interval_s or waits == MOST_WAITS:
                self.not_before_s = time.monotonic() + (wait_s or 0.0)
                return answer
            waits += 1
            await asyncio.sleep(wait_s)

    async def _take(self, endpoint: str, answer: Answer | NoAnswer) -> bool:
        """One answer. False: there is no use in asking for more now."""
        if isinstance(answer, NoAnswer):
            self.problems.append(f"{endpoint}: {answer.reason}" if answer.is_there else answer.reason)
            return answer.is_there
        self.is_heard = True
        self.batch.frames += 1
        if answer.status == cca.TOO_MANY:  # is about all that ask, not about the endpoint
            self.problems.append("HTTP 429: too many ask at once")
            return False
        self._keep(endpoint, answer, *await self._understood(endpoint, answer))
        if answer.status in cca.UNAUTHORIZED:
            key = "it does not take this key" if self.settings.cca_api_key else "it asks for a key"
            self.problems.append(f"HTTP {answer.status}: {key}; set CCOSTDB_CCA_API_KEY")
            self.outcome.hint = KEY_HINT
            return False
        if answer.status == cca.NOT_FOUND:
            self.missing_until_s[endpoint] = time.monotonic() + NOT_THERE_AGAIN_S
        return True

    async def _understood(self, endpoint: str, answer: Answer) -> tuple[Sample, Reject | None, bytes]:
        """What an answer says, or why it says nothing; and its meaning."""
        now_ns, max_bytes, key = time.time_ns(), self.settings.payload_max_bytes, self.settings.cca_api_key

        def parse() -> tuple[Sample, Reject | None, bytes]:
            try:
                sample = cca.parse(endpoint, answer.status, answer.raw, now_ns, max_bytes, api_key=key)
                reject = None
            except Rejected as rejected:  # nothing of it is shown: it may be what a model wrote
                reject = Reject(now_ns, rejected.reason)
                sample = Sample(endpoint, now_ns, None, rejected.reason)
            return sample, reject, cca.meaning(endpoint, sample.body, sample.error)

        return await asyncio.to_thread(parse) if len(answer.raw or b"") > LARGE_BYTES else parse()

    def _keep(self, endpoint: str, answer: Answer, sample: Sample, reject: Reject | None, meaning: bytes) -> None:
        """The sample of an answer, if it says something new."""
        if sample.error is None:
            self.has_data |= endpoint != cca.HEALTH
        elif answer.status not in (cca.NOT_FOUND, *cca.UNAUTHORIZED):
            self.problems.append(sample.error if reject else f"{endpoint}: {sample.error}")
        if self.meanings.get(endpoint) == meaning:
            return
        self.meanings[endpoint] = meaning
        self.batch.samples.append(sample)
        self.batch.rejects += [reject] if reject else []
        self.batch.events += 1
        self.batch.last_event_ns = sample.polled_ns
        if endpoint == cca.HEALTH:  # another version may have what the last one had not
            self.missing_until_s.clear()

    def _turn(self) -> None:
        """Notes the run's state where it, or what is wrong, is another than before. Says each problem once."""
        state = "connected" if self.has_data else "error" if self.is_heard else "disconnected"
        if not self.has_data and not self.problems:
            self.problems.append("what answers is not CCA")
        self.outcome.error = self.problems[0] if self.problems else None
        self.batch.connections += state == "connected" != self.shown.state
        self.batch.state = self.shown.turn(state, self.outcome.error) or self.batch.state
        for problem in self.problems:
            self.shown.say(problem)

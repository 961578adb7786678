"""Sample transcripts as Claude Code writes them: three weeks of three projects, the same in every run but for the time.

All that makes counting hard is in them: answers repeated as they stream, with a placeholder for the output; cache
writes of both lifetimes; sub-agents in files of their own; and a fork, which repeats a session under another id.
"""

from __future__ import annotations

import json
import os
import random
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ccostdb.clock import iso
from ccostdb.model import Usage

SEED = 3
DAYS = 21
SECOND_NS = 1_000_000_000
HOUR_NS, DAY_NS = 3600 * SECOND_NS, 86_400 * SECOND_NS
PROJECTS = ("/home/ada/shop", "/home/ada/shop-mobile", "/home/ada/docs")
MODELS = ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929", "claude-opus-4-5-20251101")
AGENTS = ("Explore", "code-reviewer", "test-runner")
AGENT_MODEL = "claude-haiku-4-5-20251001"
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789"

Line = dict[str, Any]


class SampleCall(NamedTuple):
    """One model call, as the ledger must know it however often it is written down."""

    message_id: str
    occurred_ns: int
    model: str
    project: str
    session: str
    agent: str | None
    usage: Usage


@dataclass
class Thread:
    """One file: a session, or a sub-agent within it."""

    chance: random.Random
    project: str
    session: str
    model: str
    now_ns: int
    agent: str | None = None
    agent_id: str | None = None
    lines: list[Line] = field(default_factory=list)
    calls: list[SampleCall] = field(default_factory=list)
    cached_tokens: int = 0
    is_hour_cache: bool = False

    def turn(self) -> None:
        """A prompt, or a tool's result, and the model's answer to it."""
        self._pause(5, 60)
        self._add("user", {"role": "user", "content": "…"})
        self._pause(1, 5)
        usage = self._usage()
        name = _name(self.chance, "msg_01")
        self.calls.append(SampleCall(name, self.now_ns, self.model, self.project, self.session, self.agent, usage))
        words: Line = {"id": name, "type": "message", "role": "assistant", "model": self.model}
        request = {"requestId": _name(self.chance, "req_01")}
        for content in self.chance.choice((["text"], ["text", "tool_use"], ["thinking", "text", "tool_use"])):
            placeholder = usage._replace(output_tokens=self.chance.randrange(1, 9))
            self._add("assistant", words | {"content": [{"type": content}], "usage": _sent(placeholder)}, request)
            self._pause(1, 5)
        self._add("assistant", words | {"content": [{"type": "text"}], "usage": _sent(usage)}, request)

    def _usage(self) -> Usage:
        """All that was said before is read from the cache, all that is new is written to it."""
        written, chance = self.chance.randrange(400, 6000), self.chance
        writes = (0, written) if self.is_hour_cache else (written, 0)
        usage = Usage(chance.randrange(2, 12), chance.randrange(80, 2500), *writes, self.cached_tokens)
        self.cached_tokens += written
        return usage

    def _pause(self, least_s: int, most_s: int) -> None:
        self.now_ns += self.chance.randrange(least_s * 1000, most_s * 1000) * 1_000_000

    def _add(self, kind: str, message: Line, more: Line | None = None) -> None:
        line: Line = {
            "parentUuid": self.lines[-1]["uuid"] if self.lines else None,
            "isSidechain": self.agent is not None,
            "userType": "external",
            "cwd": self.project,
            "sessionId": self.session,
            "version": "2.1.40",
            "gitBranch": "main",
            "message": message,
            **(more or {}),
            "type": kind,
            "uuid": _uuid(self.chance),
            "timestamp": iso(self.now_ns),
        }
        self.lines.append(line if self.agent_id is None else {"agentId": self.agent_id, **line})

    def path(self, folder: Path) -> Path:
        """Where Claude Code keeps it."""
        home = folder / "projects" / re.sub(r"[^A-Za-z0-9]", "-", self.project)
        if self.agent_id is None:
            return home / f"{self.session}.jsonl"
        return home / self.session / "subagents" / f"agent-{self.agent_id}.jsonl"


def write_transcripts(folder: Path, now_ns: int) -> list[SampleCall]:
    """Writes the samples under `folder`, the last ones of the hours before `now_ns`. Returns every call in them."""
    calls = []
    for thread in make_threads(now_ns):
        path = thread.path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in thread.lines))
        os.utime(path, ns=(thread.now_ns, thread.now_ns))
        if thread.agent:
            path.with_suffix(".meta.json").write_text(json.dumps({"agentType": thread.agent}))
        calls += thread.calls
    return calls


def make_threads(now_ns: int) -> Iterator[Thread]:
    """Every session and sub-agent, oldest day first, and at last a fork."""
    chance = random.Random(SEED)
    now_ns -= now_ns % 1_000_000  # a transcript's times are in milliseconds
    for days_ago in reversed(range(DAYS)):
        for _ in range(chance.choice((0, 1, 1, 2, 3)) if days_ago else 2):
            start_ns = now_ns - days_ago * DAY_NS - chance.randrange(2 * 3600, 8 * 3600) * SECOND_NS
            session = Thread(chance, chance.choice(PROJECTS), _uuid(chance), chance.choice(MODELS), start_ns)
            session.is_hour_cache = chance.random() < 0.4
            session.cached_tokens = chance.randrange(11_000, 14_000)  # the system prompt, written by a session before
            for _ in range(chance.randrange(5, 16)):
                session.turn()
                if chance.random() < 0.1:
                    yield _run_agent(session)
            yield session
    yield _fork(session)


def _run_agent(caller: Thread) -> Thread:
    """A sub-agent's work, for which its caller waits."""
    chance = caller.chance
    agent = Thread(chance, caller.project, caller.session, AGENT_MODEL, caller.now_ns)
    agent.agent, agent.agent_id = chance.choice(AGENTS), f"{chance.getrandbits(28):07x}"
    for _ in range(chance.randrange(2, 7)):
        agent.turn()
    caller.now_ns = agent.now_ns
    return agent


def _fork(origin: Thread) -> Thread:
    """A session that begins with all lines of another, which were paid for only once, and goes on."""
    fork = Thread(origin.chance, origin.project, _uuid(origin.chance), origin.model, origin.now_ns)
    fork.cached_tokens, fork.is_hour_cache = origin.cached_tokens, origin.is_hour_cache
    for line in origin.lines:
        source = {"sessionId": origin.session, "messageUuid": line["uuid"]}
        fork.lines.append(line | {"sessionId": fork.session, "uuid": _uuid(fork.chance), "forkedFrom": source})
    for _ in range(4):
        fork.turn()
    return fork


def _sent(usage: Usage) -> Line:
    """A usage as the API writes it."""
    write_5m, write_1h = usage.cache_write_5m_tokens, usage.cache_write_1h_tokens
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": write_5m + write_1h,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": write_5m, "ephemeral_1h_input_tokens": write_1h},
        "output_tokens": usage.output_tokens,
        "service_tier": "standard",
    }


def _name(chance: random.Random, start: str) -> str:
    return start + "".join(chance.choices(_LETTERS, k=22))


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))

"""What happens at the simulated CCO: two hours of requests, answered by models or by its cache. Pure.

A real CCO sends null for every `agent_name`; here the agents have names, so that a report by agent shows some.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any, NamedTuple

SEED = 20
REQUESTS = 120
MEAN_WAIT_S = 60
SECOND_NS = 1_000_000_000
PRICES = {  # USD per million tokens of input and output, as CCO's router has them
    "claude-opus-4": (15.0, 75.0),
    "claude-sonnet-4": (3.0, 15.0),
    "claude-haiku-4-5-20251001": (1.0, 5.0),
    "gpt-4": (30.0, 60.0),
    "ollama/mistral": (0.0, 0.0),
}
AGENTS = {  # the model that each asks for
    "chief-architect": "claude-opus-4",
    "python-specialist": "claude-sonnet-4",
    "test-engineer": "claude-sonnet-4",
    "documentation-lead": "claude-haiku-4-5-20251001",
    "security-auditor": "gpt-4",
    "log-reader": "ollama/mistral",
}
OVERRIDES = {"claude-opus-4": "claude-sonnet-4", "gpt-4": "claude-haiku-4-5-20251001"}
OVERRIDDEN = 0.2  # of the requests that could be
PROMPTS = 16  # that a model is sent: what it is sent again, the cache answers


class Event(NamedTuple):
    """One event of the activity list, and when it happened."""

    at_ns: int
    activity: dict[str, Any]

    @property
    def is_call(self) -> bool:
        """Whether the server's `calls` counts it."""
        return self.activity["event_type"] in ("api_call", "cache_hit")


def make_traffic(end_ns: int) -> list[Event]:
    """Everything that happens until `end_ns`, oldest first: the same in every run but for the time."""
    chance = random.Random(SEED)
    waits_ns = [chance.randrange(2 * MEAN_WAIT_S * SECOND_NS) for _ in range(REQUESTS)]
    at_ns = end_ns - sum(waits_ns)
    cached_tokens: dict[tuple[str, int], int] = {}
    events = []
    for wait_ns in waits_ns:
        agent, model = chance.choice(list(AGENTS.items()))
        if model in OVERRIDES and chance.random() < OVERRIDDEN:
            events.append(_event(at_ns, "model_override", agent, model))
            model = OVERRIDES[model]
        prompt = model, chance.randrange(PROMPTS)
        if prompt in cached_tokens:
            answer = {"tokens": cached_tokens[prompt], "latency_ms": chance.randrange(4), "cost": 0.0}
            events.append(_event(at_ns, "cache_hit", agent, model, **answer))
        else:
            input_tokens, output_tokens = chance.randrange(400, 9000), chance.randrange(60, 1800)
            tokens = cached_tokens[prompt] = input_tokens + output_tokens
            latency_ms = 300 + output_tokens * chance.randrange(8, 20)
            cost = cost_usd(model, input_tokens, output_tokens)
            events.append(_event(at_ns, "api_call", agent, model, tokens=tokens, latency_ms=latency_ms, cost=cost))
        at_ns += wait_ns
    return events


def cost_usd(model: str, input_tokens: int, output_tokens: int) -> float:
    """As CCO computes it: a double, with a double's noise."""
    input_usd, output_usd = PRICES[model]
    return input_tokens / 1e6 * input_usd + output_tokens / 1e6 * output_usd


def _event(at_ns: int, event_type: str, agent: str, model: str, **answer: float) -> Event:
    """`answer` holds tokens, latency_ms and cost; without one they are null."""
    activity = {
        "timestamp": rfc3339(at_ns),
        "event_type": event_type,
        "agent_name": agent,
        "model": model,
        "tokens": answer.get("tokens"),
        "latency_ms": answer.get("latency_ms"),
        "status": "success",
        "cost": answer.get("cost"),
    }
    return Event(at_ns, activity)


def rfc3339(ns: int) -> str:
    """A time as CCO writes it, to the nanosecond."""
    whole_s, rest_ns = divmod(ns, SECOND_NS)
    return f"{datetime.fromtimestamp(whole_s, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}+00:00"

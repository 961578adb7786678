"""What a model's name says: who bills it, and under which names a price book may know it. Pure.

Every gateway spells a model its own way: `claude-sonnet-4-5`, `openrouter/anthropic/claude-sonnet-4.5`,
`us.anthropic.claude-sonnet-4-5-20250929-v1:0`, `claude-sonnet-4-5@20250929` are one model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

# What stands before a slash, and the provider (by the price book's id) that it names; None names nobody.
_PREFIXES: dict[str, str | None] = {
    "anthropic": "anthropic",
    "aws": "aws",
    "amazon-bedrock": "aws",
    "bedrock": "aws",
    "azure": "azure",
    "azure_ai": "azure",
    "cerebras": "cerebras",
    "cohere": "cohere",
    "converse": None,
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "github-copilot": "github-copilot",
    "github_copilot": "github-copilot",
    "google": "google",
    "google-vertex": "google",
    "groq": "groq",
    "litellm": None,
    "lm_studio": "lm_studio",
    "minimax": "minimax",
    "mistral": "mistral",
    "mistralai": "mistral",
    "models": None,
    "moonshot": "moonshotai",
    "moonshotai": "moonshotai",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "openai": "openai",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "together_ai": "together",
    "vertex": "google",
    "vertex_ai": "google",
    "x-ai": "x-ai",
    "xai": "x-ai",
    "z-ai": "zai",
    "zai": "zai",
}
PROVIDERS = frozenset(provider for provider in _PREFIXES.values() if provider)
# Bare names that only their maker uses.
_MAKERS = (
    (re.compile(r"claude"), "anthropic"),
    (re.compile(r"gpt-|chatgpt|codex-|o[134](-|$)"), "openai"),
    (re.compile(r"gemini"), "google"),
    (re.compile(r"deepseek"), "deepseek"),
    (re.compile(r"grok-"), "x-ai"),
    (re.compile(r"kimi|moonshot"), "moonshotai"),
    (re.compile(r"glm-"), "zai"),
    (re.compile(r"minimax-"), "minimax"),
    (re.compile(r"(labs-)?(mi|code|dev|magi|mini)stral-|pixtral-|voxtral-"), "mistral"),
)
# They pass a maker's price on where they list none of their own.
_RESELLERS = frozenset({"azure", "openrouter"})
_BEDROCK = re.compile(r"(?:(?P<region>[a-z]{2,6}(?:-[a-z]+)*)\.)?(?P<maker>[a-z0-9-]+)\.(?P<model>[a-z][\w.:@-]*)$")
_BEDROCK_MAKERS = frozenset(
    {"ai21", "amazon", "anthropic", "cohere", "deepseek", "google", "meta", "minimax", "mistral", "moonshot"}
    | {"moonshotai", "nvidia", "openai", "qwen", "writer", "zai"}
)
_BEDROCK_OWN_RATES = frozenset({None, "us"})  # elsewhere Bedrock charges Anthropic's
# A different price under nearly the same name, as in `claude-opus-4.6-fast` or `…:batch`.
_SPECIAL = re.compile(r"-fast$|:(?!beta$|thinking$|exacto$|\d+$)[a-z]+$")
_RESPELLINGS = (
    (re.compile(r":(beta|thinking|exacto)$"), ""),
    (re.compile(r"-v\d+(:\d+)*k?$"), ""),
    (re.compile(r"(claude-.*\d)\.(?=\d)"), r"\1-"),
    (re.compile(r"-latest$"), ""),
    (re.compile(r"[-@]20\d{6}$"), ""),
)
_COMPACT_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)$")


class _Name(NamedTuple):
    """A name taken apart: who bills (None: not said), the name at that provider, the maker's own name."""

    provider: str | None
    listed: str
    bare: str


@lru_cache(maxsize=4096)
def provider_of(model: str | None) -> str | None:
    """Who bills a model of this name, by the price book's id; None where the name does not say."""
    return None if model is None else _take_apart(model).provider


def lookups(model: str) -> list[tuple[str, list[str]]]:
    """Where a price book may know the model: providers in order, and the spellings to try at each."""
    name = _take_apart(model)
    special = _SPECIAL.search(name.bare) is not None
    if name.bare.startswith("claude"):
        return _claude_lookups(name, special)
    if name.provider is None:
        return []
    found = [(name.provider, [*_spellings(name.listed), *_spellings(name.bare)])]
    maker = _maker(name.bare)
    if name.provider in _RESELLERS and maker not in (None, name.provider) and not special:
        found.append((str(maker), list(_spellings(name.bare))))
    return found


def is_plain(model: str) -> bool:
    """Whether the name is the maker's own, without a gateway's prefix, region or variant."""
    name = _take_apart(model)
    return name.bare == model.lower() and _SPECIAL.search(name.bare) is None


def _claude_lookups(name: _Name, special: bool) -> list[tuple[str, list[str]]]:
    if special:  # only OpenRouter lists such names, each at its own price
        return [("openrouter", [f"anthropic/{name.bare}"])]
    bedrock = _bedrock(name.listed)
    if bedrock and bedrock["region"] in _BEDROCK_OWN_RATES:
        return [("aws", list(_spellings(name.listed)))]
    return [("anthropic", list(_spellings(name.bare)))]


def _take_apart(model: str) -> _Name:
    text = re.sub(r"\[1m\]$", "", model.strip().lower())
    if text.startswith("arn:"):
        text = "bedrock/" + text.rpartition("/")[2]
    elif "publishers/" in text:
        text = "vertex/" + text.rpartition("/")[2]
    provider: str | None = None
    listed = text
    while (head := text.partition("/"))[1] and head[0] in _PREFIXES:
        text = head[2]
        if provider is None:
            provider, listed = _PREFIXES[head[0]], text
    bedrock = _bedrock(text)
    if bedrock:
        return _Name(provider or "aws", text, bedrock["model"])
    tail = text.rpartition("/")[2]
    if not tail.startswith("claude"):
        return _Name(provider or _maker(text), listed, text)
    if "@" in tail:
        bare = tail.removesuffix("@default").removesuffix("@latest").replace("@", "-")
        return _Name(provider or "google", tail, bare)
    # A gateway that we do not know bills by itself, at Anthropic's rates as far as we can tell.
    return _Name(provider or (_maker(tail) if tail == text else None), listed, tail)


def _bedrock(text: str) -> re.Match[str] | None:
    found = _BEDROCK.match(text)
    return found if found and found["maker"] in _BEDROCK_MAKERS else None


def _maker(bare: str) -> str | None:
    return next((maker for pattern, maker in _MAKERS if pattern.match(bare)), None)


def _spellings(name: str) -> Iterator[str]:
    """The name, then as other gateways would have written it: each step also keeps the steps before it."""
    yield name
    compact = _COMPACT_DATE.search(name)
    if compact and _is_date(compact):
        yield f"{name[: compact.start()]}-{compact[1]}-{compact[2]}-{compact[3]}"
    seen = name
    for pattern, replacement in _RESPELLINGS:
        respelt = pattern.sub(replacement, seen)
        if respelt != seen:
            seen = respelt
            yield seen


def _is_date(found: re.Match[str]) -> bool:
    try:
        date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return False
    return True


_TESTS: dict[str, Callable[[str, str], bool]] = {
    "equals": lambda name, text: name == text.lower(),
    "starts_with": lambda name, text: name.startswith(text.lower()),
    "ends_with": lambda name, text: name.endswith(text.lower()),
    "contains": lambda name, text: text.lower() in name,
    "regex": lambda name, text: re.search(text, name) is not None,
}
CLAUSES = frozenset(_TESTS)


def matches(clause: dict[str, Any], name: str) -> bool:
    """Whether a clause tree of a price book holds for a name in lower case.

    A clause has one key: `equals`, `starts_with`, `ends_with`, `contains` (a text, in any case), `regex`
    (searched for), or `or`, `and` (a list of clauses).
    """
    ((verb, operand),) = clause.items()
    if verb == "or":
        return any(matches(each, name) for each in operand)
    if verb == "and":
        return all(matches(each, name) for each in operand)
    return _TESTS[verb](name, operand)

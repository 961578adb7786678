"""Names: every form of a model's name finds its price, and says who bills."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pricing import LARGE, MIXED, NOW, cost, whole_book

from ccostdb.model import Usage
from ccostdb.prices.names import provider_of

SONNET_4_5 = [
    "claude-sonnet-4-5",
    "claude-sonnet-4-5-20250929",
    "Claude-Sonnet-4-5",
    "claude-sonnet-4.5",
    "claude-sonnet-4-5[1m]",
    "anthropic/claude-sonnet-4-5",
    "anthropic/claude-sonnet-4.5",
    "anthropic/claude-sonnet-4.5:thinking",
    "openrouter/anthropic/claude-sonnet-4.5",
    "litellm/anthropic/claude-sonnet-4-5-20250929",
    "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "apac.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "bedrock/converse/global.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "claude-sonnet-4-5@20250929",
    "vertex_ai/claude-sonnet-4-5@20250929",
    "publishers/anthropic/models/claude-sonnet-4-5@20250929",
    "projects/p/locations/europe-west1/publishers/anthropic/models/claude-sonnet-4-5@20250929",
    "github-copilot/claude-sonnet-4.5",
    "some-gateway/anthropic/claude-sonnet-4.5",
]


@pytest.mark.parametrize("name", SONNET_4_5)
def test_every_form_of_a_name_is_the_same_model(name: str) -> None:
    for usage in (MIXED, LARGE):
        assert cost(name, usage) == cost("claude-sonnet-4-5-20250929", usage)


@pytest.mark.parametrize(
    "name",
    [
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0",
    ],
)
def test_bedrock_has_its_own_rates_in_the_us(name: str) -> None:
    assert cost(name, Usage(1_000_000, 0, 0, 0, 0)) == 3_300_000_000


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("claude-sonnet-4@20250514", "claude-sonnet-4-20250514"),
        ("claude-3.5-haiku", "claude-3-5-haiku-20241022"),
        ("openrouter/anthropic/claude-fable-5.1", "claude-fable-5-1"),
        ("eu.anthropic.claude-fable-5-1-v1:0", "claude-fable-5-1"),
        ("claude-opus-4-6@default", "claude-opus-4-6"),
        ("claude-fable-5-latest", "claude-fable-5"),
        ("openai/gpt-5", "gpt-5"),
        ("azure/gpt-5", "gpt-5"),
        ("gpt-5-20250807", "gpt-5-2025-08-07"),
        ("gemini/gemini-2.5-pro", "models/gemini-2.5-pro"),
        ("xai/grok-4", "grok-4"),
    ],
)
def test_two_spellings_of_one_model_cost_the_same(name: str, other: str) -> None:
    usage = Usage(1_234, 567, 0, 0, 0)
    assert cost(name, usage) is not None
    assert cost(name, usage) == cost(other, usage)


def test_a_name_that_stands_for_another_price_is_not_taken_for_the_plain_model() -> None:
    usage = Usage(1_000, 1_000, 0, 0, 0)
    assert cost("anthropic/claude-opus-4.6-fast", usage) == 180_000_000
    assert cost("openrouter/anthropic/claude-opus-4.6:batch", usage) == 15_000_000
    assert cost("claude-sonnet-4-6-fast", usage) is None
    assert cost("openrouter/openai/gpt-5:free", usage) is None


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        (None, None),
        ("", None),
        ("claude-opus-4-6", "anthropic"),
        ("Claude-3-Opus", "anthropic"),
        ("anthropic/claude-opus-4.6", "anthropic"),
        ("openrouter/anthropic/claude-opus-4.6", "openrouter"),
        ("us.anthropic.claude-opus-4-6-v1:0", "aws"),
        ("anthropic.claude-v2:1", "aws"),
        ("us-gov.anthropic.claude-opus-4-6-v1:0", "aws"),
        ("amazon.nova-pro-v1:0", "aws"),
        ("bedrock/claude-opus-4-6", "aws"),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123", "aws"),
        ("claude-opus-4-6@20260205", "google"),
        ("publishers/anthropic/models/claude-opus-4-6", "google"),
        ("vertex_ai/claude-opus-4-6", "google"),
        ("gpt-4", "openai"),
        ("gpt-5.1-codex-mini", "openai"),
        ("chatgpt-4o-latest", "openai"),
        ("o1", "openai"),
        ("o3-mini", "openai"),
        ("o4-mini", "openai"),
        ("gemini-2.5-pro", "google"),
        ("ollama/llama3-70b", "ollama"),
        ("ollama/mistral", "ollama"),
        ("azure/gpt-5", "azure"),
        ("deepseek-chat", "deepseek"),
        ("xai/grok-4", "x-ai"),
        ("z-ai/glm-4.6", "zai"),
        ("<synthetic>", None),
        ("llama3", None),
        ("o30-nonsense", None),
        ("some/model", None),
        ("some-gateway/claude-opus-4-6", None),
        ("gpt4all", None),
    ],
)
def test_the_provider_is_read_from_the_name(name: str | None, provider: str | None) -> None:
    assert provider_of(name) == provider


@given(st.text(max_size=60))
def test_any_text_may_be_a_name(name: str) -> None:
    provider_of(name)
    whole_book().cost(name, NOW, MIXED)

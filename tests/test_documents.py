"""Documents that cannot fall behind: what the README and the metadata name exists, and what exists is named."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from ccostdb.budgets.entries import read_budgets
from ccostdb.cli import COMMANDS
from ccostdb.model import Usage
from ccostdb.prices.book import PriceBook
from ccostdb.prices.entries import entry_rates
from ccostdb.prices.plan import Rate
from ccostdb.prices.sync import all_rates
from ccostdb.resources import datasette_metadata, sql, sql_names
from ccostdb.settings import KEYS, TOLD, Settings, load_settings
from ccostdb.sources.cco_stream import USUAL_URL

README = (Path(__file__).parent.parent / "README.md").read_text()
INNER_VIEWS = {"source_counted", "daily_usage", "hourly_usage"}
PUBLIC_VIEWS = sorted(set(sql_names("views")) - INNER_VIEWS)


def examples(word: str) -> str:
    """The TOML block of the README that holds a word."""
    (found,) = (block for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL) if word in block)
    return found


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_readme_names_every_command(name: str) -> None:
    assert f"ccostdb {name}" in README


def test_the_readme_names_no_command_that_does_not_exist() -> None:
    said = set(re.findall(r"(?:^    |`|\$ |bin/)ccostdb ([a-z]+)", README, re.MULTILINE))
    assert said <= set(COMMANDS)


@pytest.mark.parametrize("name", PUBLIC_VIEWS)
def test_every_public_view_is_in_the_readme(name: str) -> None:
    assert f"`{name}`" in README


def test_every_question_has_its_words_and_the_readme_asks_it() -> None:
    questions = yaml.safe_load(datasette_metadata().read_text())["plugins"]["ccostdb"]["questions"]
    assert set(questions) == set(sql_names("questions"))
    assert [name for name in questions if f"`{name}`" not in README] == []


@pytest.mark.parametrize("folder", ["views", "questions", "queries"])
def test_every_select_begins_by_saying_what_a_row_is(folder: str) -> None:
    for name in sql_names(folder):
        assert sql(f"{folder}/{name}.sql").startswith("-- One row"), name


def test_the_readmes_settings_are_all_of_them_and_can_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "ccostdb.toml").write_text(examples("home_tz"))
    settings = load_settings(environ={}, folder=tmp_path, config_folder=tmp_path)
    assert set(settings.origins) == {key.name for key in KEYS}


def test_the_readmes_rate_can_be_used_and_names_every_key() -> None:
    (entry,) = tomllib.loads(examples("[[price]]"))["price"]
    rates = entry_rates(entry, "user", 1, 1)
    assert {rate.kind for rate in rates} == {
        *("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "web_search"),
    }
    assert all(isinstance(rate, Rate) and rate.above_tokens == 200_000 for rate in rates)


def test_the_readmes_budget_can_be_used_and_names_every_key() -> None:
    entries = tomllib.loads(examples("[[budget]]"))["budget"]
    (budget,) = read_budgets(Settings(Path("x"), user_budgets=tuple(entries)))
    assert list(budget.limits) == ["day", "week", "month"]
    assert all(budget.filters)
    assert budget.command


def test_the_readme_names_every_address_that_is_looked_at_unasked() -> None:
    (said,) = (entry for entry in README.split("\n- ") if entry.startswith("It talks to nobody but"))
    assert Settings(Path("x")).cco_url in said
    assert USUAL_URL in said
    assert "pid files" in said


def test_a_flat_rate_leaves_a_dearer_tier_of_the_base_as_the_readme_says() -> None:
    assert "`input = 2` alone replaces the standard rate" in " ".join(README.split())
    model = "claude-sonnet-4-5-20250929"
    book = PriceBook(list(all_rates([{"model": model, "input": 2}])))
    now_ns = 1_790_000_000_000_000_000
    small, large = (book.cost(model, now_ns, Usage(tokens, 0, 0, 0, 0)).computed_nusd for tokens in (100_000, 300_000))
    assert small == 100_000 * 2_000
    assert large is not None
    assert large > 300_000 * 2_000


def test_every_setting_in_the_readme_names_its_variable() -> None:
    for key in KEYS:
        assert key.place.split(".")[-1] in README
    for variable in re.findall(r"CCOSTDB_[A-Z_]*[A-Z]", README):
        assert variable in {key.variable for key in KEYS} or variable.startswith(TOLD)

"""Where settings come from, which one wins, and what is said about a wrong one."""

from __future__ import annotations

import json
import string
from contextlib import suppress
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccostdb.errors import BadArgument, BadSettings
from ccostdb.setting_values import read_zone
from ccostdb.settings import KEYS, LISTS, Settings, load_settings
from ccostdb.sources.cco_stream import stream_url


class Place:
    """A folder of settings: what stands in each file, and the environment."""

    def __init__(self, root: Path) -> None:
        self.folder, self.config = root / "here", root / "config"
        self.folder.mkdir()
        self.config.mkdir()
        self.environ: dict[str, str] = {}

    def load(self, **flags: object) -> Settings:
        return load_settings(flags, environ=self.environ, folder=self.folder, config_folder=self.config)

    def says(self, **flags: object) -> tuple[str, str | None]:
        with pytest.raises(BadSettings) as caught:
            self.load(**flags)
        return caught.value.message, caught.value.hint

    def user_file(self, text: str) -> None:
        (self.config / "config.toml").write_text(text)

    def folder_file(self, text: str) -> None:
        (self.folder / "ccostdb.toml").write_text(text)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_every_setting_has_a_key_and_every_key_a_setting() -> None:
    names = {each.name for each in fields(Settings)} - {*LISTS.values(), "origins"}
    assert {key.name for key in KEYS} == names


def test_without_anything_the_defaults_hold(place: Place) -> None:
    settings = place.load()
    assert settings.db.name == "ccostdb.db"
    assert settings.cco_url == "http://localhost:8080"
    assert [path.parts[-2:] for path in settings.claude_paths] == [(".claude", "projects"), ("claude", "projects")]
    assert settings.origins == {}


def test_later_origins_win_and_each_value_remembers_its_own(place: Place) -> None:
    place.user_file('cost = "reported"\nlog_level = "debug"\nreconnect_max_s = 5\nfollow_interval_s = 2')
    place.folder_file('log_level = "warning"\nreconnect_max_s = 6\nfollow_interval_s = 3')
    place.environ = {"CCOSTDB_RECONNECT_MAX_S": "7", "CCOSTDB_FOLLOW_INTERVAL_S": "4"}
    settings = place.load(follow_interval_s="5", cost=None)
    values = settings.cost, settings.log_level, settings.reconnect_max_s, settings.follow_interval_s
    assert values == ("reported", "warning", 7.0, 5.0)
    assert settings.origins == {
        "cost": str(place.config / "config.toml"),
        "log_level": "./ccostdb.toml",
        "reconnect_max_s": "CCOSTDB_RECONNECT_MAX_S (environment)",
        "follow_interval_s": "command line",
    }


def test_sources_have_their_own_tables(place: Place) -> None:
    place.folder_file(
        '[sources.cco]\nurl = "https://cco.local:9/api/stream"\ncounted = true\n'
        '[sources.claude-code]\npaths = ["work", "/abs"]'
    )
    settings = place.load()
    assert settings.cco_url == "https://cco.local:9"
    assert settings.cco_counted is True
    assert settings.claude_paths == (place.folder / "work", Path("/abs"))


def test_relative_paths_start_at_their_file_and_at_the_working_folder(place: Place) -> None:
    place.user_file('db = "mine.db"')
    assert place.load().db == place.config / "mine.db"
    assert place.load(db="other.db").db == place.folder / "other.db"
    place.environ = {"CCOSTDB_DB": "~/x.db"}
    assert place.load().db == Path.home() / "x.db"


def test_claude_config_dir_replaces_both_folders(place: Place) -> None:
    place.environ = {"CLAUDE_CONFIG_DIR": "/one, /two,"}
    settings = place.load()
    assert settings.claude_paths == (Path("/one"), Path("/two"))
    assert settings.origins["claude_paths"] == "CLAUDE_CONFIG_DIR (environment)"
    place.environ["CCOSTDB_CLAUDE_PATHS"] = "/three"
    assert place.load().claude_paths == (Path("/three"),)


def test_an_empty_variable_is_no_value(place: Place) -> None:
    place.environ = {"CCOSTDB_DB": " ", "CLAUDE_CONFIG_DIR": ""}
    assert place.load().origins == {}


def test_rates_of_both_files_add_up(place: Place) -> None:
    place.user_file('[[price]]\nmodel = "a"\ninput = 0.1')
    place.folder_file('[[price]]\nmodel = "b"\ninput = 3\nvalid_from = 2026-01-01')
    first, second = place.load().user_prices
    assert first == {"model": "a", "input": 0.1}
    assert second == {"model": "b", "input": 3, "valid_from": date(2026, 1, 1)}


def test_an_unknown_key_names_the_nearest(place: Place) -> None:
    place.folder_file("reconect_max_s = 3")
    assert place.says() == ("./ccostdb.toml sets reconect_max_s, which is unknown.", "Did you mean reconnect_max_s?")
    place.folder_file('[sources.cco]\nurll = "http://x"')
    assert place.says()[1] == "Did you mean sources.cco.url?"
    place.folder_file("[sources.ccx]\nurl = 1")
    assert place.says()[0] == "./ccostdb.toml sets sources.ccx, which is unknown."


def test_an_unknown_variable_names_the_nearest(place: Place) -> None:
    place.environ = {"CCOSTDB_CC0_URL": "http://x"}
    assert place.says() == ("The environment variable CCOSTDB_CC0_URL is unknown.", "Did you mean CCOSTDB_CCO_URL?")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cco_url", "localhost:8080"),
        ("cco_url", "ftp://x"),
        ("cco_url", "http://"),
        ("cco_url", "http://x:99999"),
        ("cco_url", "http://[::1"),
        ("cco_url", "http://x/\x1b[2J"),
        ("cco_url", "http://x:0"),
        ("cco_url", f"http://x/{'a' * 70_000}"),
        ("reconnect_max_s", "0"),
        ("reconnect_max_s", "nan"),
        ("reconnect_max_s", "soon"),
        ("reconnect_max_s", True),
        ("frame_max_bytes", "-1"),
        ("frame_max_bytes", "1e3"),
        ("cost", "cheap"),
        ("cco_counted", "perhaps"),
        ("db", "a\0b"),
        ("db", 3),
        ("home_tz", "Mars/Base"),
        ("home_tz", "Europe"),
        ("home_tz", "../etc/passwd"),
        ("claude_paths", []),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_origin(place: Place, name: str, value: object) -> None:
    message, _ = place.says(**{name: value})
    assert message.startswith(f"{name} from command line should be ")


def test_a_password_in_an_address_is_refused_and_not_repeated(place: Place) -> None:
    message, _ = place.says(cco_url="http://me:secret@localhost:8080")
    assert "secret" not in message
    assert "without user" in message


@pytest.mark.parametrize(
    "url", ["http://@localhost", "http://localhost?", "http://localhost/#", "http://localhost?a=1"]
)
def test_an_address_of_more_than_a_server_is_refused(place: Place, url: str) -> None:
    assert "an address without user, password, ? and #" in place.says(cco_url=url)[0]


@pytest.mark.parametrize(
    "host",
    [
        *("ä..b", "bücher.example", "a..b", ".", "a" * 64, "a." * 127 + "a", "a\\b", "a%41", "☃"),
        *("1.2.3.999", "1.2.3", "cco.7", "[fe80::1%25eth0]"),
    ],
)
def test_a_host_that_cannot_be_asked_for_is_refused_with_a_sentence(place: Place, host: str) -> None:
    assert "whose host is a name in ASCII" in place.says(cco_url=f"http://{host}:80")[0]


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://localhost:3000/", "http://localhost:3000"),
        ("http://localhost:3000/api/stream", "http://localhost:3000"),
        (" http://localhost:3000/team//api/stream/ ", "http://localhost:3000/team"),
        ("HTTPS://Cco.Example", "https://Cco.Example"),
        ("http://my_cco.local.", "http://my_cco.local."),
        ("http://xn--bcher-kva.example", "http://xn--bcher-kva.example"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_an_address_is_given_with_or_without_the_path(place: Place, url: str, read: str) -> None:
    assert place.load(cco_url=url).cco_url == read


@given(st.text(max_size=12) | st.from_regex(r"https?://[a-zä.:%0-9\[\]-]{1,12}/?", fullmatch=True))
def test_no_address_that_is_taken_stops_whoever_asks_there(url: str) -> None:
    here = Path("/nowhere")
    with suppress(BadSettings):
        taken = load_settings({"cco_url": url}, environ={}, folder=here, config_folder=here).cco_url
        httpx.URL(stream_url(taken)).host.encode("idna")  # what asking for an address does with it


def test_an_unknown_zone_names_the_nearest(place: Place) -> None:
    assert "Did you mean Europe/Berlin?" in place.says(home_tz="Europe/Berln")[0]
    with pytest.raises(BadArgument) as caught:
        read_zone("Asia/Kolkatta")
    assert caught.value.hint == "Did you mean Asia/Kolkata?"


@pytest.mark.parametrize(
    "content", [b"db = ", b"\xff\xfe", b"price = 3", b"[price]\nx = 1", b"price = [1]", b"x = %s" % (b"[" * 9000)]
)
def test_a_file_that_cannot_be_read_is_named(place: Place, content: bytes) -> None:
    (place.folder / "ccostdb.toml").write_bytes(content)
    assert "./ccostdb.toml" in place.says()[0]


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000])
@pytest.mark.parametrize("key", ["health_port", "unknown", "budget = [{name", "price = [{model"])
def test_a_number_of_thousands_of_digits_is_refused_with_a_sentence(place: Place, key: str, number: str) -> None:
    end = "}]" if "{" in key else ""
    (place.folder / "ccostdb.toml").write_text(f"{key} = {number}{end}")
    assert place.says()[0].startswith("./ccostdb.toml holds a number that is too long")


@pytest.mark.parametrize("name", ["health_port", "backup_keep", "payload_max_bytes", "keep_samples_days"])
def test_a_text_of_thousands_of_digits_is_refused_with_what_was_expected(place: Place, name: str) -> None:
    assert "should be a" in place.says(**{name: "9" * 5000})[0]


def test_a_folder_in_place_of_the_file_is_named(place: Place) -> None:
    (place.folder / "ccostdb.toml").mkdir()
    assert "./ccostdb.toml cannot be read: Is a directory" in place.says()[0]


_values = st.one_of(
    st.text(string.printable, max_size=20), st.integers(), st.booleans(), st.floats(), st.lists(st.text(max_size=5))
)


@given(st.sampled_from(KEYS), _values)
def test_any_value_is_taken_or_refused_with_a_sentence(key: Any, value: object) -> None:
    here = Path("/nowhere")
    try:
        settings = load_settings({key.name: value}, environ={}, folder=here, config_folder=here)
    except BadSettings as error:
        assert key.name in error.message
    else:
        json.dumps(getattr(settings, key.name), default=str)

"""What a person may set, and where each value came from.

Later wins: defaults, `config.toml` in the platform's config folder, `./ccostdb.toml`, `CCOSTDB_*`, flags.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ccostdb.errors import BadArgument, BadSettings, nearest

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

COSTS = ("auto", "reported", "computed")
LOG_LEVELS = ("debug", "info", "warning", "error")
USER_FILE = "config.toml"
FOLDER_FILE = "ccostdb.toml"
MAX_URL_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default. `origins` says for each field where its value came from."""

    db: Path
    home_tz: str | None = None  # None: the ledger's own, at first the system's
    cost: str = "auto"
    log_level: str = "info"
    cco_url: str = "http://localhost:8080"
    cco_counted: bool | None = None  # None: unless Claude Code's transcripts have calls
    claude_paths: tuple[Path, ...] = ()
    reconnect_initial_s: float = 0.25
    reconnect_max_s: float = 30.0
    stream_dead_after_s: float = 15.0
    stream_reopen_s: float = 30.0
    frame_max_bytes: int = 16 * 1024 * 1024
    follow_interval_s: float = 1.0
    user_prices: tuple[dict[str, Any], ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


class Key(NamedTuple):
    """One setting: its field, its place in a file, how a value is read, what it is for.

    `read` takes a TOML value or the text of a variable or flag, and the folder where relative paths start;
    it raises ValueError saying what was expected.
    """

    name: str
    place: str
    read: Callable[[object, Path], object]
    meaning: str

    @property
    def variable(self) -> str:
        return f"CCOSTDB_{self.name.upper()}"


def _read_text(value: object, _: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text")
    return value.strip()


def _read_path(value: object, folder: Path) -> Path:
    text = _read_text(str(value) if isinstance(value, Path) else value, folder)
    if "\0" in text:
        raise ValueError("a path")
    return folder / Path(text).expanduser()


def _read_paths(value: object, folder: Path) -> tuple[Path, ...]:
    """A list, or texts with commas between them, as in CLAUDE_CONFIG_DIR."""
    parts = value if isinstance(value, list | tuple) else _read_text(value, folder).split(",")
    paths = tuple(_read_path(part, folder) for part in parts if str(part).strip())
    if not paths:
        raise ValueError("one path or more")
    return paths


def _read_bool(value: object, _: Path) -> bool | None:
    """None is 'auto': decided by rule."""
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False, "auto": None}
    text = str(value).strip().lower()
    if text not in known:
        raise ValueError("true, false or auto")
    return known[text]


def _read_seconds(value: object, _: Path) -> float:
    expected = "a number of seconds above 0"
    if isinstance(value, bool):
        raise ValueError(expected)
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ValueError(expected) from None
    if not 0 < seconds < 1e6:
        raise ValueError(expected)
    return seconds


def _read_bytes(value: object, _: Path) -> int:
    text = str(value).replace("_", "")
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) < 2**31:
        raise ValueError("a whole number of bytes from 1024 to 2147483647")
    return int(text)


def _one_of(*known: str) -> Callable[[object, Path], str]:
    def read(value: object, _: Path) -> str:
        text = str(value).strip().lower()
        if text not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return text

    return read


def read_zone(name: str) -> ZoneInfo:
    """The zone of that name; raises BadArgument with the nearest name that exists."""
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder of zones
        known = zoneinfo.available_timezones()
        hint = nearest(name, known) if known else "Install the package tzdata."
        message = f"There is no time zone {name[:80]!r}."
        raise BadArgument(message, hint if len(hint) < 100 else "Europe/Berlin is one.") from error


def _read_zone(value: object, folder: Path) -> str:
    name = _read_text(value, folder)
    try:
        read_zone(name)
    except BadArgument as error:
        raise ValueError(f"a time zone ({error.hint})") from error
    return name


def _read_url(value: object, folder: Path) -> str:
    """The address of a server, without a path's end that we add ourselves. Nobody checks it again."""
    from urllib.parse import urlsplit

    text = _read_text(value, folder)
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and parts.port != 0 and len(text) <= MAX_URL_CHARACTERS
    except ValueError:
        is_good = False
    if not is_good or any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("an address such as http://localhost:8080")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise ValueError("an address without user, password, ? and #")
    if not _is_host(parts.hostname or ""):
        raise ValueError("an address whose host is a name in ASCII (xn--… if need be) or an IP address")
    text = parts.scheme + text[len(parts.scheme) :]  # in lower case
    return text.rstrip("/").removesuffix("/api/stream").rstrip("/")


def _is_host(host: str) -> bool:
    """Whether it is an IP address, or a name that can be asked for: RFC 1123, and the _ that some networks use.

    Names beyond ASCII are left to the person: the two standards for them disagree on which host some of them are.
    """
    import re
    from ipaddress import ip_address

    if ":" in host or re.search(r"(^|\.)[0-9]+\.?$", host):  # a name's last part is no number
        try:
            ip_address(host)
        except ValueError:
            return False
        return "%" not in host
    return len(host) <= 253 and re.fullmatch(r"([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", host) is not None


KEYS = (
    Key("db", "db", _read_path, "the ledger's file"),
    Key("home_tz", "home_tz", _read_zone, "the zone of local days"),
    Key("cost", "cost", _one_of(*COSTS), "which cost reports show"),
    Key("log_level", "log_level", _one_of(*LOG_LEVELS), "how much is said while following"),
    Key("cco_url", "sources.cco.url", _read_url, "where CCO answers"),
    Key("cco_counted", "sources.cco.counted", _read_bool, "whether CCO's calls belong in totals"),
    Key("claude_paths", "sources.claude-code.paths", _read_paths, "where Claude Code's transcripts lie"),
    Key("reconnect_initial_s", "reconnect_initial_s", _read_seconds, "the longest first wait for a retry"),
    Key("reconnect_max_s", "reconnect_max_s", _read_seconds, "the longest wait for a retry"),
    Key("stream_dead_after_s", "stream_dead_after_s", _read_seconds, "how long a stream may be silent"),
    Key("stream_reopen_s", "stream_reopen_s", _read_seconds, "the longest life of one CCO connection"),
    Key("frame_max_bytes", "frame_max_bytes", _read_bytes, "the largest frame that is read"),
    Key("follow_interval_s", "follow_interval_s", _read_seconds, "how often transcripts are looked at"),
)
_BY_NAME = {key.name: key for key in KEYS}
_BY_PLACE = {key.place: key for key in KEYS}
_BY_VARIABLE = {key.variable: key for key in KEYS}
_TABLES = {place.rsplit(".", depth)[0] for place in _BY_PLACE for depth in range(1, place.count(".") + 1)}


def load_settings(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
    config_folder: Path | None = None,
) -> Settings:
    """The settings in force. `flags` are fields by name; None values are flags that were not given.

    Raises BadSettings with one sentence for the first key or value that cannot be used.
    """
    folder = folder or Path.cwd()
    settings = _defaults(environ, folder)
    user_file = _config_folder(config_folder) / USER_FILE
    settings = _with_file(settings, user_file, str(user_file))
    settings = _with_file(settings, folder / FOLDER_FILE, f"./{FOLDER_FILE}")
    for name, text in sorted(environ.items()):
        if name.startswith("CCOSTDB_") and text.strip():
            if name not in _BY_VARIABLE:
                raise BadSettings(f"The environment variable {name} is unknown.", nearest(name, _BY_VARIABLE))
            settings = _with_value(settings, _BY_VARIABLE[name], text, folder, f"{name} (environment)")
    for name, value in (flags or {}).items():
        if value is not None:
            settings = _with_value(settings, _BY_NAME[name], value, folder, "command line")
    return settings


def _defaults(environ: Mapping[str, str], folder: Path) -> Settings:
    import platformdirs

    settings = Settings(db=platformdirs.user_data_path("ccostdb", appauthor=False) / "ccostdb.db")
    claude_config = environ.get("CLAUDE_CONFIG_DIR", "").strip(" ,")
    if claude_config:
        origin = "CLAUDE_CONFIG_DIR (environment)"
        return _with_value(settings, _BY_NAME["claude_paths"], claude_config, folder, origin)
    folders = (".claude/projects", ".config/claude/projects")
    return replace(settings, claude_paths=tuple(Path.home() / name for name in folders))


def _config_folder(given: Path | None) -> Path:
    import platformdirs

    return given or platformdirs.user_config_path("ccostdb", appauthor=False)


def _with_file(settings: Settings, path: Path, shown: str) -> Settings:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return settings
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise BadSettings(f"The settings in {shown} cannot be read: {reason}.") from error
    import tomllib

    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{shown} is no valid TOML: {error}.") from error
    rates = table.pop("price", [])
    if not isinstance(rates, list) or not all(isinstance(rate, dict) for rate in rates):
        raise BadSettings(f"price in {shown} should be tables.", "Write each rate under its own [[price]].")
    if rates:
        origins = {**settings.origins, "user_prices": shown}
        settings = replace(settings, user_prices=(*settings.user_prices, *rates), origins=origins)
    for place, value in _leaves(table, shown):
        settings = _with_value(settings, _BY_PLACE[place], value, path.parent, shown)
    return settings


def _leaves(table: Mapping[str, object], shown: str, prefix: str = "") -> Iterator[tuple[str, object]]:
    """The known keys of a parsed file, as `sources.cco.url`."""
    for name, value in table.items():
        place = prefix + name
        if place in _TABLES and isinstance(value, dict):
            yield from _leaves(value, shown, f"{place}.")
        elif place in _BY_PLACE:
            yield place, value
        else:
            known = [*_BY_PLACE, "price"]
            raise BadSettings(f"{shown} sets {place}, which is unknown.", nearest(place, known))


def _with_value(settings: Settings, key: Key, value: object, folder: Path, origin: str) -> Settings:
    try:
        read = key.read(value, folder)
    except (ValueError, RuntimeError) as error:  # RuntimeError: `~nobody/…` has no home
        shown = key.place if origin.endswith(".toml") else key.name
        got = "" if "@" in str(value) else f", not {str(value)[:80]!r}"  # @: it may hold a password
        raise BadSettings(f"{shown} from {origin} should be {error}{got}.") from error
    values: dict[str, Any] = {key.name: read, "origins": {**settings.origins, key.name: origin}}
    return replace(settings, **values)

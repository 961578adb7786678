"""What a person may set, and where each value came from.

Later wins: defaults, `config.toml` in the platform's config folder, `./ccostdb.toml`, `CCOSTDB_*`, flags.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ccostdb.errors import BadSettings
from ccostdb.setting_values import (
    one_of,
    read_bool,
    read_bytes,
    read_count,
    read_days,
    read_full_url,
    read_headers,
    read_host,
    read_hosts,
    read_path,
    read_paths,
    read_port,
    read_seconds,
    read_secret,
    read_time,
    read_url,
    read_zone_name,
)
from ccostdb.words import nearest

COSTS = ("auto", "reported", "computed")
LOG_LEVELS = ("debug", "info", "warning", "error")
LISTS = {"price": "user_prices", "budget": "user_budgets"}  # [[name]] in a file: its field; read where they are used
TOLD = "CCOSTDB_BUDGET_"  # variables by which a budget's command is told why it runs: it may run ccostdb itself
USER_FILE = "config.toml"
FOLDER_FILE = "ccostdb.toml"


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
    ccd_url: str = "http://127.0.0.1:8820/events"
    ccd_headers: tuple[tuple[str, str], ...] = ()
    payload_max_bytes: int = 64 * 1024
    payload_texts: str = "large"  # shortened where the payload is larger than that; always: in every one
    cca_url: str = "http://127.0.0.1:8580"
    cca_api_key: str | None = None
    cca_interval_s: float = 30.0
    health_port: int = 8081  # 0: none
    health_host: str = "127.0.0.1"
    health_hosts: tuple[str, ...] = ()
    keep_activities_days: int | None = None  # None: for ever, as the next two
    keep_daemon_events_days: int | None = None
    keep_runs_days: int | None = None
    keep_samples_days: int | None = 90
    backup_at: str = "03:00"
    backup_keep: int = 7
    backup_folder: Path | None = None  # None: `backups` beside the ledger
    user_prices: tuple[dict[str, Any], ...] = ()
    user_budgets: tuple[dict[str, Any], ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)


class Key(NamedTuple):
    """One setting: its field, its place in a file, how a value is read, what it is for.

    `read` takes a TOML value or the text of a variable or flag, and the folder where relative paths start;
    it raises ValueError saying what was expected. The value of a secret is never shown.
    """

    name: str
    place: str
    read: Callable[[object, Path], object]
    meaning: str
    is_secret: bool = False

    @property
    def variable(self) -> str:
        return f"CCOSTDB_{self.name.upper()}"


KEYS = (
    Key("db", "db", read_path, "the ledger's file"),
    Key("home_tz", "home_tz", read_zone_name, "the zone of local days"),
    Key("cost", "cost", one_of(*COSTS), "which cost reports show"),
    Key("log_level", "log_level", one_of(*LOG_LEVELS), "how much is said while following"),
    Key("cco_url", "sources.cco.url", read_url, "where CCO answers"),
    Key("cco_counted", "sources.cco.counted", read_bool, "whether CCO's calls belong in totals"),
    Key("claude_paths", "sources.claude-code.paths", read_paths, "where Claude Code's transcripts lie"),
    Key("reconnect_initial_s", "reconnect_initial_s", read_seconds, "the longest first wait for a retry"),
    Key("reconnect_max_s", "reconnect_max_s", read_seconds, "the longest wait for a retry"),
    Key("stream_dead_after_s", "stream_dead_after_s", read_seconds, "how long a stream may be silent"),
    Key("stream_reopen_s", "stream_reopen_s", read_seconds, "the longest life of one CCO connection"),
    Key("frame_max_bytes", "frame_max_bytes", read_bytes, "the largest frame that is read"),
    Key("follow_interval_s", "follow_interval_s", read_seconds, "how often transcripts are looked at"),
    Key("ccd_url", "sources.ccd.url", read_full_url, "where CCD's event stream is"),
    Key("ccd_headers", "sources.ccd.headers", read_headers, "what is sent along with a request to CCD", True),
    Key("payload_max_bytes", "sources.ccd.payload_max_bytes", read_bytes, "the largest payload that is kept whole"),
    Key("payload_texts", "sources.ccd.payload_texts", one_of("large", "always"), "which payloads are shortened"),
    Key("cca_url", "sources.cca.url", read_url, "where CCA answers"),
    Key("cca_api_key", "sources.cca.api_key", read_secret, "the key that CCA asks for", True),
    Key("cca_interval_s", "sources.cca.interval_s", read_seconds, "how often CCA is asked"),
    Key("health_port", "health_port", read_port, "where /health and /metrics answer"),
    Key("health_host", "health_host", read_host, "the address they are bound to"),
    Key("health_hosts", "health_hosts", read_hosts, "more names by which they may be asked"),
    Key("keep_activities_days", "keep.activities_days", read_days, "how long CCO's activities are kept"),
    Key("keep_daemon_events_days", "keep.daemon_events_days", read_days, "how long daemon events are kept"),
    Key("keep_runs_days", "keep.runs_days", read_days, "how long runs of sources and jobs are kept"),
    Key("keep_samples_days", "keep.samples_days", read_days, "how long samples are kept"),
    Key("backup_at", "backup.at", read_time, "when the nightly backup is made, in the home time zone"),
    Key("backup_keep", "backup.keep", read_count, "how many backups are kept"),
    Key("backup_folder", "backup.folder", read_path, "where backups lie"),
)
# What a program that we start must not be told; the query of an address may be a key.
SECRET_VARIABLES = frozenset(key.variable for key in KEYS if key.is_secret or key.name == "ccd_url")
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
        if name.startswith("CCOSTDB_") and not name.startswith(TOLD) and text.strip():
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
        if path.is_fifo():  # reading would wait for whoever writes it
            raise OSError(errno.EINVAL, "it is a pipe")
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return settings
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise BadSettings(f"The settings in {shown} cannot be read: {reason}.") from error
    import tomllib

    try:
        table = tomllib.loads(text)
        repr(table)  # ValueError for a number that is too long to be shown, whatever it is for
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{shown} is no valid TOML: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise BadSettings(f"{shown} holds a number that is too long, or lists in too many lists.") from error
    for name, field_name in LISTS.items():
        entries = table.pop(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise BadSettings(f"{name} in {shown} should be tables.", f"Write each under its own [[{name}]].")
        if entries:
            values: dict[str, Any] = {field_name: (*getattr(settings, field_name), *entries)}
            settings = replace(settings, **values, origins={**settings.origins, field_name: shown})
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
            known = [*_BY_PLACE, *LISTS]
            raise BadSettings(f"{shown} sets {place}, which is unknown.", nearest(place, known))


def _with_value(settings: Settings, key: Key, value: object, folder: Path, origin: str) -> Settings:
    try:
        read = key.read(value, folder)
    except (ValueError, RuntimeError) as error:  # RuntimeError: `~nobody/…` has no home
        shown = key.place if origin.endswith(".toml") else key.name
        got = "" if key.is_secret or "@" in str(value) else f", not {str(value)[:80]!r}"  # @: it may hold a password
        raise BadSettings(f"{shown} from {origin} should be {error}{got}.") from error
    values: dict[str, Any] = {key.name: read, "origins": {**settings.origins, key.name: origin}}
    return replace(settings, **values)

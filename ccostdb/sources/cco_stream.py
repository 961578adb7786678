"""Where CCO's stream is, and its bytes. What they mean is in `cco.py`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

from ccostdb.json_object import object_of
from ccostdb.settings import Settings
from ccostdb.sources.sse import Item, Pace, is_event_stream, read_stream

PATH = "/api/stream"
USUAL_URL = "http://127.0.0.1:3000"  # of `cco run`
PID_FILE_BYTES = 4096


def frames(settings: Settings, pace: Pace) -> AsyncGenerator[Item, None]:
    """The stream of `settings.cco_url`, for ever. Its events have no ids, so none is asked for again."""
    return read_stream(stream_url(settings.cco_url), settings, pace)


def stream_url(url: str) -> str:
    """The stream of a server, whose address is as the settings have it: checked, and without the path."""
    return url + PATH


async def find_url(settings: Settings) -> str | None:
    """Where an event stream answers: at the address set, at CCO's usual one, or where its pid files say."""
    for url in dict.fromkeys((settings.cco_url, USUAL_URL, *_pid_file_urls())):
        if await is_event_stream(stream_url(url)):
            return url
    return None


def _pid_file_urls() -> Iterator[str]:
    """Where running servers say they are. A file without a port is passed over."""
    from platformdirs import user_data_path

    for path in (Path.home() / ".cco" / "daemon.pid", *sorted(user_data_path().glob("cco/pids/cco-*.pid"))):
        try:
            if path.is_symlink() or not path.is_file():
                continue
            with path.open("rb") as file:
                content = object_of(file.read(PID_FILE_BYTES)) or {}
        except OSError:
            continue
        port = content.get("port")
        if type(port) is int and 0 < port < 65536:
            yield f"http://127.0.0.1:{port}"

"""Lets the system keep `ccostdb ingest` running from log-in on: a systemd user unit, a launchd agent, a Windows task.

Only `install`, `uninstall` and `is_active` touch the system, and say what they do. The files are of `service_files`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccostdb.budgets.entries import read_budgets
from ccostdb.daemon.record import log_file, print_file, read_record, write_whole
from ccostdb.daemon.service_files import NAME, ledger_in, render_plist, render_task, render_unit
from ccostdb.errors import CcostError
from ccostdb.lock import make_folder, real_path
from ccostdb.prices.entries import check_entries
from ccostdb.settings import KEYS, LISTS, Settings

COMMAND_S = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Service:
    """How a system's manager of services is told: the file that it reads, and the commands that make it do so.

    `after` is the command that follows the removal of the file, () where there is none. `active` asks how the service
    is; it runs where that succeeds and a line of the answer fits `running`.
    """

    manager: str
    path: Path
    content: bytes
    enable: tuple[tuple[str, ...], ...]
    disable: tuple[str, ...]
    after: tuple[str, ...]
    active: tuple[str, ...]
    running: str


def describe(settings: Settings, *, platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> Service:
    """The service that records into the ledger of these settings, in the terms of this platform."""
    python = Path(sys.executable)
    if platform == "win32":
        python = next((each for each in [python.with_name("pythonw.exe")] if each.exists()), python)
    command = [str(python), "-P", "-m", "ccostdb", "ingest", "--db", str(real_path(settings.db))]
    if any(not word.isprintable() for word in command):
        raise CcostError(f"The path {settings.db} cannot be given to a service.", "Choose another ledger with --db.")
    if platform not in ("win32", "darwin"):
        return _systemd_unit(command, environ)  # whose journal keeps what it says
    command += ["--log-file", str(log_file(settings.db))]
    if platform == "win32":
        return _windows_task(command, log_file(settings.db))
    return _launchd_agent(command, print_file(settings.db))


def _systemd_unit(command: Sequence[str], environ: Mapping[str, str]) -> Service:
    if any(letter in command[0] for letter in "\"'\\"):
        message = f"systemd runs no program whose path has a quote or a backslash, as {command[0]} has."
        raise CcostError(message, "Install ccostdb in another folder.")
    unit = f"{NAME}.service"
    folder = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    systemctl = ("systemctl", "--user")
    return Service(
        "systemd",
        folder / unit,
        render_unit(command).encode(),
        enable=((*systemctl, "daemon-reload"), (*systemctl, "enable", unit), (*systemctl, "restart", unit)),
        disable=(*systemctl, "disable", "--now", unit),
        after=(*systemctl, "daemon-reload"),
        active=(*systemctl, "is-active", unit),
        running="",
    )


def _launchd_agent(command: Sequence[str], printed: Path) -> Service:
    domain = f"gui/{os.getuid()}" if hasattr(os, "getuid") else "gui"
    path = Path.home() / "Library" / "LaunchAgents" / f"{NAME}.plist"
    return Service(
        "launchd",
        path,
        render_plist(command, printed),
        enable=(("launchctl", "bootstrap", domain, str(path)),),
        disable=("launchctl", "bootout", f"{domain}/{NAME}"),
        after=(),
        active=("launchctl", "print", f"{domain}/{NAME}"),
        running=r"^\s*state = running$",
    )


def _windows_task(command: Sequence[str], log: Path) -> Service:
    path = log.with_name(f"{NAME}-task.xml")
    schtasks = ("schtasks",)
    state = f"(Get-ScheduledTask -TaskName {NAME} -ErrorAction Stop).State"  # schtasks says it in the user's language
    return Service(
        "the task scheduler",
        path,
        render_task(command),
        enable=((*schtasks, "/Create", "/F", "/TN", NAME, "/XML", str(path)), (*schtasks, "/Run", "/TN", NAME)),
        disable=(*schtasks, "/End", "/TN", NAME),
        after=(*schtasks, "/Delete", "/F", "/TN", NAME),
        active=("powershell", "-NoProfile", "-NonInteractive", "-Command", state),
        running=r"^Running\s*$",
    )


def install(service: Service, settings: Settings, say: Say, *, is_forced: bool = False) -> bool:
    """Writes the service's file and starts it; whether it runs. Where the manager is not there, says what to type.

    Refuses settings that the service could not use and, unless `is_forced`, to take it away from another ledger.
    """
    check_entries(settings.user_prices)
    read_budgets(settings)
    ledger = ledger_in(service.path.read_bytes()) if service.path.is_file() else None
    if ledger not in (None, str(real_path(settings.db))) and not is_forced:
        hint = f"To have it record into {settings.db} instead, add --force."
        raise CcostError(f"The service records into another ledger: {ledger}.", hint)
    running = read_record(settings.db)
    if running and (not service.path.exists() or is_active(service) is not None):
        message = f"Process {running.pid} records into {settings.db} already."
        raise CcostError(message, "Stop it first: ccostdb stop")
    make_folder(log_file(settings.db).parent, "Check who owns it.")
    make_folder(service.path.parent, "Check who owns it.")
    if service.manager == "launchd" and service.path.exists():
        _called(service.disable)  # it takes a changed file only when the old one has been taken back
    try:
        write_whole(service.path, service.content)
    except OSError as error:
        message = f"{service.path} cannot be written: {error.strerror}."
        raise CcostError(message, "Check who owns its folder.") from error
    say(f"Wrote {service.path}.")
    for note in left_behind(settings):
        say(note)
    return _all_called(service.enable, say)


def left_behind(settings: Settings) -> list[str]:
    """A sentence on each setting in force that a service does not see: it knows `config.toml` and its ledger alone."""
    places = {key.name: key.place for key in KEYS} | {field: f"[[{name}]]" for name, field in LISTS.items()}
    return [
        f"The service does not see {origin}: put {places.get(name, name)} into config.toml."
        for name, origin in settings.origins.items()
        if name != "db" and (origin.endswith("(environment)") or origin.startswith("./"))
    ]


def _all_called(commands: Sequence[Sequence[str]], say: Say) -> bool:
    """Calls one after the other; the first that fails is said with its reason, and it and the rest are to be typed."""
    for number, command in enumerate(commands):
        if (problem := _call(command, say)) is not None:
            rest = " && ".join(subprocess.list2cmdline(each) for each in commands[number:])
            say(f"Not started: {problem}")
            say(f"Where it can be, type: {rest}")
            return False
    return True


def _call(command: Sequence[str], say: Say) -> str | None:
    """Calls a command that is there, and says so; why it failed, None: it did not."""
    problem = _called(command)
    if shutil.which(command[0]):
        say(f"Called {subprocess.list2cmdline(command)}.")
    return problem


def _called(command: Sequence[str]) -> str | None:
    """Why a command failed; None: it did not."""
    return _asked(command)[0]


def _asked(command: Sequence[str]) -> tuple[str | None, str]:
    """Why a command failed, None: it did not; and what it printed."""
    program = shutil.which(command[0])
    if program is None:
        return f"there is no {command[0]} here.", ""
    try:
        done = subprocess.run(
            [program, *command[1:]], stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} did not answer within {COMMAND_S:.0f} s.", ""
    if done.returncode == 0:
        return None, done.stdout.decode(errors="replace")
    lines = (done.stderr or done.stdout).decode(errors="replace").split("\n")
    first = next((line for line in lines if line.strip()), f"status {done.returncode}").strip()
    return f"{command[0]} says: {first}", ""


def uninstall(service: Service, say: Say) -> bool:
    """Stops the service and removes its file; False where there was none. The ledger stays."""
    if not service.path.exists():
        return False
    if (problem := _call(service.disable, say)) is not None:
        say(f"Not stopped: {problem}")
    service.path.unlink()
    say(f"Removed {service.path}.")
    if service.after and (then := _call(service.after, say)) not in (None, problem):
        say(f"Not done: {then}")
    return True


def is_active(service: Service) -> str | None:
    """None where the manager says that the service runs, else why it says that it does not."""
    problem, said = _asked(service.active)
    if problem is None and not re.search(service.running, said, re.MULTILINE):
        return f"{service.manager} knows it, but it does not run."
    return problem

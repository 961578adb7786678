"""What the managers of services are told, read back by their own rules; and the commands with a manager that notes."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from commands import ccostdb

from ccostdb.daemon.record import log_file, recorded
from ccostdb.daemon.service import describe, is_active, left_behind
from ccostdb.daemon.service_files import ledger_in, render_plist, render_task, render_unit
from ccostdb.errors import CcostError
from ccostdb.lock import writing_lock
from ccostdb.settings import Settings, load_settings

STRANGE = """/a b/50% of $HOME "or" 'so' \\n & <x> é/new.db"""
COMMAND = [sys.executable, "-P", "-m", "ccostdb", "ingest", "--db", STRANGE]
TASK = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
NOTING = """#!/bin/sh
echo "$(basename "$0") $*" >> "$NOTES"
case "$*" in
  *"$REFUSED"*) echo "it is not there" >&2; exit 1;;
esac
"""

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def notes(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where managers of services, which do nothing else, note what they are called with."""
    (home / "bin").mkdir()
    for name in ("systemctl", "launchctl"):
        (home / "bin" / name).write_text(NOTING)
        (home / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}/bin:/usr/bin:/bin")
    monkeypatch.setenv("NOTES", str(home / "notes"))
    monkeypatch.setenv("REFUSED", "nothing")
    monkeypatch.setenv("CCOSTDB_DB", str(home / "new.db"))
    (home / "notes").touch()
    return home / "notes"


linux = pytest.mark.skipif(sys.platform != "linux", reason="a systemd unit is for Linux")


# --- what is written ---


def words_of_unit(text: str) -> list[str]:
    """The words of ExecStart by the rules of systemd.service(5): quotes, backslashes, %% for %; `:` for plain $."""
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    rest = line.removeprefix("ExecStart=:")
    assert rest != line
    words: list[str] = []
    word, position, is_quoted = "", 0, False
    while position < len(rest):
        letter = rest[position]
        if letter == '"':
            is_quoted = not is_quoted
        elif letter == " " and not is_quoted:
            words, word = [*words, word], ""
        elif letter == "\\" or letter == "%":
            position += 1
            assert rest[position] in ('\\"' if letter == "\\" else "%")
            word += rest[position]
        else:
            word += letter
        position += 1
    return [*words, word]


def test_a_unit_runs_the_very_command_whatever_its_paths_hold() -> None:
    assert words_of_unit(render_unit(COMMAND)) == COMMAND


def test_a_unit_starts_again_only_after_a_failure_and_stops_by_sigterm() -> None:
    lines = render_unit(COMMAND).splitlines()
    assert {"Restart=on-failure", "KillSignal=SIGTERM", "UMask=0077", "WantedBy=default.target"} <= set(lines)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_itself_takes_the_unit(home: Path) -> None:
    folder = home / "50% of $HOME & <x> é"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    (home / "ccostdb.service").write_text(render_unit([str(folder / "python"), *COMMAND[1:]]))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(home / "ccostdb.service")],
        env={**os.environ, "XDG_RUNTIME_DIR": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = "\n".join(line for line in done.stderr.splitlines() if "ccostdb.service" in line)
    assert (done.returncode, said) == (0, ""), done.stderr


def test_a_launchd_agent_runs_the_command_and_again_where_it_failed(home: Path) -> None:
    agent = plistlib.loads(render_plist(COMMAND, home / "x.log"))
    assert agent["ProgramArguments"] == COMMAND
    assert (agent["RunAtLoad"], agent["KeepAlive"]) == (True, {"SuccessfulExit": False})
    assert agent["StandardErrorPath"] == f"{home}/x.log"
    assert agent["Umask"] == 0o077


def test_a_windows_task_runs_the_command_at_log_on_without_a_limit() -> None:
    task = ElementTree.fromstring(render_task(COMMAND))
    execute = task.find(f"{TASK}Actions/{TASK}Exec")
    assert execute is not None
    assert execute.findtext(f"{TASK}Command") == sys.executable
    assert execute.findtext(f"{TASK}Arguments") == subprocess.list2cmdline(COMMAND[1:])
    assert task.find(f"{TASK}Triggers/{TASK}LogonTrigger") is not None
    settings = task.find(f"{TASK}Settings")
    assert settings is not None
    assert settings.findtext(f"{TASK}ExecutionTimeLimit") == "PT0S"
    assert [each.tag.removeprefix(TASK) for each in task] == [
        *("RegistrationInfo", "Triggers", "Principals", "Settings", "Actions")  # the order that its schema asks for
    ]


def test_a_path_that_no_service_could_be_given_is_refused(home: Path) -> None:
    with pytest.raises(CcostError, match="cannot be given to a service"):
        describe(Settings(db=home / "a\nExecStart=b.db"))


def test_a_program_that_systemd_would_not_run_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/it's/python")
    with pytest.raises(CcostError, match="systemd runs no program"):
        describe(Settings(db=home / "new.db"), platform="linux")


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_service_gets_the_ledger_and_no_key(home: Path, platform: str) -> None:
    settings = Settings(
        db=Path("new.db"), cca_api_key="hush-1", ccd_headers=(("X", "hush-2"),), ccd_url="http://x/?key=hush-3"
    )
    content = describe(settings, platform=platform).content
    text = content.decode("utf-16" if platform == "win32" else "utf-8")
    assert f"{home}/new.db" in text
    assert "hush" not in text


def test_a_unit_lies_where_systemd_looks(home: Path) -> None:
    settings = Settings(db=home / "new.db")
    usual = describe(settings, platform="linux", environ={}).path
    assert usual == home / ".config" / "systemd" / "user" / "ccostdb.service"
    moved = describe(settings, platform="linux", environ={"XDG_CONFIG_HOME": "/etc/x"}).path
    assert moved == Path("/etc/x/systemd/user/ccostdb.service")


def test_what_a_service_does_not_see_is_named_without_its_value(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CCOSTDB_CCA_API_KEY", "hush")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(home))
    (home / "ccostdb.toml").write_text('follow_interval_s = 2\n[[price]]\nmodel = "m"\ninput = 1\n')
    said = left_behind(load_settings({"db": "x.db"}))
    here = "The service does not see"
    assert f"{here} CCOSTDB_CCA_API_KEY (environment): put sources.cca.api_key into config.toml." in said
    assert f"{here} ./ccostdb.toml: put follow_interval_s into config.toml." in said
    assert f"{here} ./ccostdb.toml: put [[price]] into config.toml." in said
    assert any("CLAUDE_CONFIG_DIR" in sentence for sentence in said)
    assert "hush" not in "".join(said)
    assert not any("put db into" in sentence for sentence in said)


# --- what is done ---


@linux
def test_install_writes_the_unit_starts_it_and_says_each_thing_done(home: Path, notes: Path) -> None:
    result = ccostdb("service", "install")
    assert result.exit_code == 0, result.output
    path = home / ".config" / "systemd" / "user" / "ccostdb.service"
    assert words_of_unit(path.read_text())[-1] == str(home / "new.db")
    assert path.stat().st_mode & 0o777 == 0o600
    called = ["daemon-reload", "enable ccostdb.service", "restart ccostdb.service"]
    assert notes.read_text().splitlines() == [f"systemctl --user {words}" for words in called]
    lines = result.stdout.splitlines()
    assert lines[0] == f"Wrote {path}."
    assert [line for line in lines if line.startswith("Called ")] == [f"Called systemctl --user {x}." for x in called]
    assert ccostdb("service", "status").exit_code == 0


@linux
def test_where_no_manager_answers_the_unit_is_written_and_the_command_named(
    home: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFUSED", "")
    result = ccostdb("service", "install")
    assert result.exit_code == 1
    assert (home / ".config" / "systemd" / "user" / "ccostdb.service").exists()
    assert "Not started: systemctl says: it is not there\n" in result.stdout
    assert result.stdout.endswith("systemctl --user restart ccostdb.service\n")
    assert ccostdb("service", "status").exit_code == 3
    monkeypatch.setenv("PATH", str(home / "nowhere"))
    assert "Called systemctl --user daemon-reload.\nNot started: systemctl says: it is not there\n" in result.stdout
    assert "Not started: there is no systemctl here.\n" in ccostdb("service", "install").stdout
    assert ccostdb("service", "uninstall").stdout.count("there is no systemctl here") == 1


@linux
def test_uninstall_stops_it_and_leaves_the_ledger(home: Path, notes: Path) -> None:
    (home / "new.db").write_text("")
    ccostdb("service", "install")
    notes.write_text("")
    result = ccostdb("service", "uninstall")
    assert result.exit_code == 0
    assert notes.read_text().splitlines() == [
        "systemctl --user disable --now ccostdb.service",
        "systemctl --user daemon-reload",
    ]
    assert list((home / ".config" / "systemd" / "user").iterdir()) == []
    assert (home / "new.db").exists()
    again = ccostdb("service", "uninstall")
    assert (again.exit_code, again.stdout[:19]) == (0, "Nothing to remove: ")
    assert ccostdb("service", "status").exit_code == 3


@linux
def test_a_process_that_records_already_is_to_be_stopped_first(
    home: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(db=home / "new.db")
    with writing_lock(settings.db), recorded(settings, None):
        result = ccostdb("service", "install")
        assert (result.exit_code, result.stderr.splitlines()[-1]) == (1, "Stop it first: ccostdb stop")
        assert notes.read_text() == ""
    assert ccostdb("service", "install").exit_code == 0
    with writing_lock(settings.db), recorded(settings, None):  # now it may be the service's own
        assert ccostdb("service", "install").exit_code == 0
        monkeypatch.setenv("REFUSED", "is-active")
        assert ccostdb("service", "install").exit_code == 1


@linux
def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(home: Path, notes: Path) -> None:
    (home / ".config").mkdir()
    (home / ".config" / "systemd").write_text("")
    result = ccostdb("service", "install")
    assert (result.exit_code, result.stderr[:18]) == (1, "Error: The folder ")


@pytest.mark.parametrize(
    ("platform", "program", "runs", "waits"),
    [
        (
            "darwin",
            "launchctl",
            "gui/501/ccostdb = {\n\tstate = running\n}",
            "gui/501/ccostdb = {\n\tstate = waiting\n}",
        ),
        ("win32", "powershell", "Running\r", "Ready\r"),
    ],
)
def test_a_service_that_its_manager_knows_is_active_only_while_it_runs(
    home: Path, notes: Path, platform: str, program: str, runs: str, waits: str
) -> None:
    described = describe(Settings(db=home / "new.db"), platform=platform)
    (home / "bin" / program).write_text('#!/bin/sh\ncat "$NOTES"\n')
    (home / "bin" / program).chmod(0o755)
    notes.write_text(f"{runs}\n")
    assert is_active(described) is None
    notes.write_text(f"{waits}\n")
    assert (is_active(described) or "").endswith(" knows it, but it does not run.")


def test_an_agent_that_changed_is_taken_back_before_it_is_given_again(home: Path, notes: Path) -> None:
    from ccostdb.daemon.service import install

    said: list[str] = []
    settings = Settings(db=home / "new.db")
    agent = replace(describe(settings, platform="darwin"), path=home / "ccostdb.plist")
    assert install(agent, settings, said.append)
    assert install(agent, settings, said.append)
    assert [line.split()[1] for line in notes.read_text().splitlines()] == ["bootstrap", "bootout", "bootstrap"]
    assert log_file(settings.db).parent.is_dir()


@linux
def test_a_service_of_another_ledger_is_taken_over_only_by_force(home: Path, notes: Path) -> None:
    assert ccostdb("service", "install").exit_code == 0
    assert ccostdb("service", "install").exit_code == 0  # its own may be written again
    result = ccostdb("service", "install", "--db", "other.db")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: The service records into another ledger: {home}/new.db.\n")
    path = home / ".config" / "systemd" / "user" / "ccostdb.service"
    assert words_of_unit(path.read_text())[-1] == f"{home}/new.db"
    assert ccostdb("service", "install", "--db", "other.db", "--force").exit_code == 0
    assert words_of_unit(path.read_text())[-1] == f"{home}/other.db"


@pytest.mark.parametrize("content", [b"", b"[Unit]", b"<x/>", b"<plist><dict/></plist>", b"\xff\xfe<", b"\0"])
def test_a_file_of_somebody_else_names_no_ledger(content: bytes) -> None:
    assert ledger_in(content) is None


def test_the_ledger_of_a_service_is_read_back_whatever_its_path_holds(home: Path) -> None:
    assert ledger_in(render_unit(COMMAND).encode()) == STRANGE
    assert ledger_in(render_plist([*COMMAND, "--log-file", "x"], home / "x.log")) == STRANGE
    for path in (r"C:\a b\50% <x> é.db", r"C:\new.db"):
        assert ledger_in(render_task([*COMMAND[:-1], path, "--log-file", "x"])) == path


@linux
@pytest.mark.parametrize("bad", ['[[price]]\nmodel = "x"\n', '[[budget]]\nname = "x"\n'])
def test_what_a_service_could_not_use_is_refused_and_nothing_written(home: Path, notes: Path, bad: str) -> None:
    (home / "ccostdb.toml").write_text(bad)
    result = ccostdb("service", "install")
    assert (result.exit_code, result.stderr[:9]) == (1, "Error: [[")
    assert notes.read_text() == ""
    assert not (home / ".config").exists()

"""The dashboard on a terminal: what its panels say of real ledgers, its keys, and that it only reads."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
from commands import ccostdb, environment, opened
from ledger_rows import add_calls, add_name, add_source, make_ledger
from textual.pilot import Pilot

from ccostdb.clock import DAY_NS, SECOND_NS
from ccostdb.daemon.record import Record, recorded
from ccostdb.lock import writing_lock
from ccostdb.settings import Settings
from ccostdb.tui.app import Top
from ccostdb.tui.live import live_lines
from ccostdb.tui.panels import TablePanel
from ccostdb.tui.reading import Reader, Snapshot, Writer
from ccostdb.tui.recent import matching

NOON_NS = 20_647 * DAY_NS + DAY_NS // 2  # 2026-07-13T12:00Z, a Monday
YESTERDAY_NS = NOON_NS - DAY_NS - 60 * SECOND_NS
OPUS, SONNET, HOSTILE = "claude-opus-4-5", "claude-sonnet-4-5", "[red]\x1b[2J</script>\u202e"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A ledger with calls of this hour, of yesterday and of last month; one has no price, one failed."""
    path = tmp_path / "ledger.db"
    with closing(make_ledger(path)) as con:
        source = add_source(con, "claude-code")
        opus, sonnet, odd = (add_name(con, "model", name) for name in (OPUS, SONNET, HOSTILE))
        shop = add_name(con, "project", "/home/me/shop")
        call = {"source_id": source, "project_id": shop, "input_tokens": 10, "output_tokens": 20}
        call |= {"cache_read_tokens": 970, "cache_write_5m_tokens": 20, "total_tokens": 1020}
        priced = {**call, "computed_nusd": 2_000_000_000, "uncached_nusd": 5_000_000_000}
        add_calls(
            con,
            [
                {**priced, "call_id": "opus", "model_id": opus, "occurred_ns": NOON_NS - 60 * SECOND_NS},
                {**priced, "call_id": "sonnet", "model_id": sonnet, "occurred_ns": NOON_NS - 120 * SECOND_NS},
                {**call, "call_id": "odd", "model_id": odd, "occurred_ns": NOON_NS - 180 * SECOND_NS},
                {
                    **priced,
                    "call_id": "old",
                    "model_id": opus,
                    "occurred_ns": NOON_NS - DAY_NS - 60 * SECOND_NS,
                    "status": "error",
                },
                {**priced, "call_id": "june", "model_id": sonnet, "occurred_ns": NOON_NS - 30 * DAY_NS},
            ],
        )
        columns = "source_id, started_ns, updated_ns, state, events, last_event_ns"
        values = (source, NOON_NS - SECOND_NS, NOON_NS, "reading", 3, NOON_NS - 5 * SECOND_NS)
        con.execute(f"insert into run ({columns}) values (?, ?, ?, ?, ?, ?)", values)
    return path


@asynccontextmanager
async def watching(path: Path, size: tuple[int, int] = (120, 40), **more: object) -> AsyncIterator[Pilot[None]]:
    """The dashboard, when it has looked once; its clock stands at noon."""
    app = Top(Settings(path, **more), lambda: NOON_NS)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.query_one("#recent", TablePanel).shown_keys != () or "no calls" in text(app))
        yield pilot


async def until(pilot: Pilot[None], is_there: Callable[[], object]) -> None:
    """Waits for a condition that must come."""
    for _ in range(400):
        if is_there():
            await pilot.pause()
            return
        await pilot.pause(0.025)
    raise AssertionError(text(pilot.app))


def text(app: object) -> str:
    """All that the screen shows."""
    assert isinstance(app, Top)
    width, height = app.size
    strips = app.screen._compositor.render_strips()[:height]
    return "\n".join("".join(segment.text for segment in strip).ljust(width) for strip in strips)


def shown(path: Path, *keys: str, size: tuple[int, int] = (120, 40), **more: object) -> str:
    """What the screen shows after these keys."""

    async def show() -> str:
        async with watching(path, size, **more) as pilot:
            await pilot.press(*keys)
            await pilot.pause(0.1)
            return text(pilot.app)

    return asyncio.run(show())


def line(screen: str, *words: str) -> str:
    """The one line that holds all these words."""
    found = [each for each in screen.splitlines() if all(word in each for word in words)]
    assert len(found) == 1, (words, screen)
    return found[0]


def test_the_cost_panel_shows_each_period_and_where_it_leads(db: Path) -> None:
    screen = shown(db)
    assert "$4.00+" in line(screen, "Today ", "3 ")  # + because one call has no price
    assert "▲ 100 %" in line(screen, "Today ", "3 ")  # against yesterday until noon
    assert "$6.00+" in line(screen, "Month ", "$9.00")
    assert "3 calls/h" in line(screen, "calls/h", "$4.00", "$8.00")  # the hour, the day; half of it has passed
    assert "This month, without a price, so in no cost: 1 call of" in screen


def test_models_stand_under_their_tier_with_what_caching_saved(db: Path) -> None:
    screen = shown(db, size=(120, 50))
    names = [each.split()[1] for each in screen.splitlines() if "50 %" in each]
    assert names == ["Opus", OPUS, "Sonnet", SONNET]
    assert "$3.00" in line(screen, OPUS, "$2.00", "50 %")
    assert "caching saved $6.00 in prompts" in screen
    assert line(screen, "Other", "–")  # of an unknown cost


def test_p_breaks_another_period_down_and_s_sorts_it(db: Path) -> None:
    async def show() -> tuple[str, str]:
        async with watching(db, (120, 50)) as pilot:
            await pilot.press("p", "p", "p", "s")
            await until(pilot, lambda: "last month, by calls" in text(pilot.app) and OPUS not in models(pilot))
            return models(pilot), text(pilot.app)

    def models(pilot: Pilot[None]) -> str:
        return " ".join(pilot.app.query_one("#models", TablePanel).shown_keys)

    assert asyncio.run(show())[0] == f"tier Sonnet model {SONNET}"


def test_recent_calls_are_the_newest_first_and_say_what_is_special(db: Path) -> None:
    screen = shown(db)
    rows = [each.split() for each in screen.splitlines() if "/home/me/shop" in each]
    assert [row[1] for row in rows] == ["11:59:00", "11:58:00", "11:57:00", "07-12", "06-13"]
    assert line(screen, "11:57:00", "no price")
    assert line(screen, "07-12", "11:59", "failed")


def test_what_a_name_would_do_to_a_terminal_or_a_markup_is_shown_as_text(db: Path) -> None:
    screen = shown(db)
    assert "[red]�[2J</script>�" in line(screen, "11:57:00")
    assert "\x1b" not in screen


def test_nothing_recorded_says_what_to_type(empty: Path) -> None:
    screen = shown(empty, size=(80, 24))
    for words in ("Nobody records", "ccostdb start", "ccostdb ingest", "ccostdb demo", "no calls yet"):
        assert words in screen


@pytest.mark.parametrize("size", [(60, 30), (80, 24), (120, 40), (200, 60)])
def test_the_four_panels_fit_every_terminal(db: Path, size: tuple[int, int]) -> None:
    screen = shown(db, size=size)
    assert [word for word in ("1 Live", "2 Cost", "3 Models", "4 Recent calls") if word not in screen] == []
    assert {len(each) for each in screen.splitlines()} == {size[0]}
    assert "$4.00+" in screen


def test_keys_go_to_panels_show_one_alone_and_tell_all_of_a_call(db: Path) -> None:
    async def show() -> list[str]:
        async with watching(db) as pilot:
            seen = []
            for key in ("1", "tab", "tab", "tab"):
                await pilot.press(key)
                focused = pilot.app.focused
                assert focused is not None
                seen.append(str((focused.id or focused.parent.id) if focused.parent else ""))
            await pilot.press("z")
            await pilot.pause(0.1)
            seen.append(text(pilot.app))
            await pilot.press("z", "down", "enter")
            await pilot.pause(0.1)
            seen.append(text(pilot.app))
            await pilot.press("escape", "question_mark")
            await pilot.pause(0.1)
            return [*seen, text(pilot.app)]

    *panels, alone, call, help_ = asyncio.run(show())
    assert panels == ["live", "cost", "models", "recent"]
    assert "4 Recent calls" in alone
    assert "2 Cost" not in alone
    assert "ccostdb explain sonnet" in call
    assert "sort models" in help_


def test_a_search_lists_the_calls_that_have_all_its_words_and_escape_lists_all(db: Path) -> None:
    async def show() -> list[list[str]]:
        async with watching(db) as pilot:
            panel = pilot.app.query_one("#recent", TablePanel)
            await pilot.press("slash", *"OPUS shop", "enter")
            found = [list(panel.shown_keys)]
            await pilot.press("slash", "left_square_bracket", "slash")  # no markup
            assert "0 of 5 found" in text(pilot.app)
            await pilot.press("slash", "escape")
            return [*found, list(panel.shown_keys)]

    assert asyncio.run(show()) == [["opus", "old"], ["opus", "sonnet", "odd", "old", "june"]]


def test_what_is_written_meanwhile_appears_in_place_and_the_cursor_stays_with_its_call(db: Path) -> None:
    async def show() -> tuple[list[str], int, str]:
        async with watching(db) as pilot:
            panel = pilot.app.query_one("#recent", TablePanel)
            await pilot.press("down", "down")  # on the call "odd"
            with opened(db) as con:
                call = {"call_id": "new", "source_id": 1, "occurred_ns": NOON_NS, "computed_nusd": 5_000_000_000}
                add_calls(con, [call])
            await until(pilot, lambda: "new" in panel.shown_keys)
            await until(pilot, lambda: "$9.00+" in text(pilot.app))
            return list(panel.shown_keys), panel.table.cursor_row, text(pilot.app)

    keys, row, _ = asyncio.run(show())
    assert keys[:3] == ["new", "opus", "sonnet"]
    assert keys[row] == "odd"


def test_space_holds_the_screen_still(db: Path) -> None:
    async def show() -> bool:
        async with watching(db) as pilot:
            await pilot.press("space")
            with opened(db) as con:
                con.execute("delete from call where call_id = 'odd'")
            await until(pilot, lambda: len(pilot.app._reader._last.recent) == 4)  # type: ignore[attr-defined]
            held = "odd" in pilot.app.query_one("#recent", TablePanel).shown_keys
            await pilot.press("space")
            await until(pilot, lambda: "odd" not in pilot.app.query_one("#recent", TablePanel).shown_keys)
            return held

    assert asyncio.run(show())


def test_a_ledger_that_is_gone_is_said_and_one_that_is_back_is_read(db: Path) -> None:
    reader = Reader(Settings(db))
    first = reader.look(NOON_NS)
    away = db.rename(db.with_name("away.db"))
    gone = reader.look(NOON_NS)
    away.rename(db)
    back = reader.look(NOON_NS)
    reader.close()
    assert (first.trouble, back.trouble) == (None, None)
    assert gone.trouble == "The ledger cannot be read: there is no such file any more."
    assert gone.sums is first.sums  # what was known stays on the screen
    assert len(back.recent) == len(first.recent)


def test_a_ledger_that_is_replaced_is_read_anew(db: Path, tmp_path: Path) -> None:
    reader = Reader(Settings(db))
    first = reader.look(NOON_NS)
    make_ledger(tmp_path / "other.db").close()
    for ending in ("-wal", "-shm"):
        Path(f"{db}{ending}").unlink(missing_ok=True)
    (tmp_path / "other.db").replace(db)
    other = reader.look(NOON_NS)
    reader.close()
    assert (len(first.recent), len(other.recent), other.trouble) == (5, 0, None)


def test_looking_reads_only_and_adds_up_again_only_what_has_changed(db: Path) -> None:
    before = db.read_bytes()
    reader = Reader(Settings(db))
    one, two = reader.look(NOON_NS), reader.look(NOON_NS)
    assert one.sums is two.sums
    assert one.recent is two.recent
    assert reader.look(NOON_NS, "month").sums is not one.sums
    reader.close()
    assert db.read_bytes() == before


def test_rates_are_of_the_process_that_runs_now(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter((100.0, 110.0))
    settings = Settings(db)
    with opened(db) as con, writing_lock(db), recorded(settings, None):
        now_ns = time.time_ns()
        columns = "source_id, started_ns, updated_ns, state"
        con.execute(f"insert into run ({columns}) values (1, ?1, ?1, 'reading')", (now_ns,))
        reader = Reader(settings)
        monkeypatch.setattr("ccostdb.tui.reading.time.monotonic", lambda: next(seconds))
        (first,) = reader.look(now_ns).sources
        con.execute("update run set events = 25 where run_id = 2")
        (second,) = reader.look(now_ns).sources
        reader.close()
    assert (first.state, first.events, first.events_per_s) == ("reading", 0, 0.0)
    assert (second.events, second.events_per_s) == (25, 2.5)


def test_the_live_monitor_says_who_records_and_how_its_sources_do(db: Path) -> None:
    reader = Reader(Settings(db))
    seen = reader.look(NOON_NS)
    reader.close()
    record = Record(4711, "x", NOON_NS - 7200 * SECOND_NS, "1", None, None)
    (source,) = seen.sources
    broken = replace(source, how="disconnected", error="refused\x1b[2J", gaps=2, events_per_s=12.0)
    told = replace(seen, writer=Writer(record, is_busy=True), sources=[broken])
    lines = [each.plain for each in live_lines(told, 70, 20)]
    assert lines[0] == "● Recording for 2 h, pid 4711"
    assert line("\n".join(lines), "○ claude-code", "disconnected", "12", "5 s", "2")
    assert "✗ claude-code: refused�[2J" in lines
    assert lines[-1].endswith("max 1")
    busy = live_lines(Snapshot(NOON_NS, Writer(is_busy=True)), 40, 6)
    assert busy[0].plain == "● Another process writes the ledger"


def test_budgets_stand_with_their_bars(db: Path) -> None:
    budget = {"name": "work", "daily": 5, "monthly": 100}
    screen = shown(db, user_budgets=(budget,))
    assert "80 % of $5.00 a day" in line(screen, "work", "day")
    assert line(screen, "work", "6.0 % of $100.00 a month")


def test_a_budget_that_is_nearly_used_up_is_seen_on_a_small_terminal_and_stands_before_the_pace(db: Path) -> None:
    lines = shown(db, size=(80, 24), user_budgets=({"name": "near", "daily": 4.9}, {"name": "far", "daily": 99})).split(
        "\n"
    )
    places = [next((at for at, each in enumerate(lines) if word in each), None) for word in ("near ", "Pace", "far ")]
    assert places[0] is not None
    assert places[1] is not None
    assert places[0] < places[1]
    assert places[2] is None


def test_budgets_that_only_the_ledger_holds_are_shown(db: Path) -> None:
    with opened(db) as con:
        con.execute("insert into budget (name, period, limit_nusd) values ('kept', 'day', 5000000000)")
    assert "80 % of $5.00 a day" in line(shown(db), "kept", "day")
    assert "kept" not in shown(db, user_budgets=({"name": "mine", "daily": 5},))


def test_a_ledger_of_older_calls_only_says_when_the_last_were(db: Path) -> None:
    with opened(db) as con:
        con.execute("delete from call where occurred_ns > ?", (NOON_NS - 20 * DAY_NS,))
    assert line(shown(db), "Last spent on 13 June 2026; $2.00 in all")


def test_the_newest_event_of_a_source_is_known_after_a_new_start(db: Path) -> None:
    with opened(db) as con:
        columns = "source_id, started_ns, updated_ns, state"
        con.execute(f"insert into run ({columns}) values (1, ?1, ?1, 'reading')", (time.time_ns() + SECOND_NS,))
        with writing_lock(db), recorded(Settings(db), None):
            reader = Reader(Settings(db))
            (source,) = reader.look(NOON_NS).sources
            reader.close()
    assert (source.events, source.how, source.last_event_ns) == (0, "following", NOON_NS - 5 * SECOND_NS)


def test_what_the_sums_leave_out_is_said_and_a_typo_in_a_budget_keeps_nobody_from_looking(db: Path) -> None:
    with opened(db) as con:
        cco = add_source(con, "cco", counted=False)
        add_calls(con, [{"call_id": "o", "source_id": cco, "occurred_ns": NOON_NS, "computed_nusd": 9 * 10**9}])
    screen = shown(db, user_budgets=({"name": "work", "dayly": 5},))
    words = " ".join(screen.replace("│", " ").split())
    assert "not counted: cco with 1 call, $9.00" in words
    assert "has an unknown key dayly." in words
    assert "Did you mean daily?" in words


def test_without_colour_every_state_still_has_a_mark_and_a_word(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def drawn() -> tuple[str, str]:
        async with watching(db) as pilot:
            return pilot.app.export_screenshot(), text(pilot.app)

    svg, screen = asyncio.run(drawn())
    colours = set(re.findall(r"#[0-9a-f]{6}", svg)) - {"#c5c8c6", "#ff5f57", "#febc2e", "#28c840"}  # of the frame
    assert [each for each in colours if len({each[1:3], each[3:5], each[5:]}) > 1] == []
    assert line(screen, "– claude-code", "cut off")


def test_the_words_of_a_search_are_looked_for_in_every_name(db: Path) -> None:
    reader = Reader(Settings(db))
    calls = reader.look(NOON_NS).recent
    reader.close()
    assert [call["call_id"] for call in matching(calls, "error")] == ["old"]
    assert [call["call_id"] for call in matching(calls, "unpriced")] == ["odd"]
    assert matching(calls, "shop nothing") == []


def test_without_a_terminal_or_a_ledger_top_says_so_in_a_sentence(home: Path) -> None:
    result = ccostdb("top")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: ccostdb top needs a terminal.\nIn a pipe, ask for a table: ccostdb report daily --json\n"
    )


def test_on_a_real_terminal_it_draws_leaves_with_q_and_asks_for_a_ledger(ledger: Path, home: Path) -> None:
    status, drawn = in_terminal("top", "--db", str(ledger), wait_for="Recent calls", press="q")
    assert status == 0
    assert "\x1b[?1049l" in drawn  # the screen from before is back
    status, drawn = in_terminal("top", "--db", str(home / "none.db"))
    assert status == 1
    assert "There is no ledger at" in drawn


def in_terminal(*words: str, wait_for: str = "", press: str = "") -> tuple[int, str]:
    """A command's exit status and what it wrote to its terminal; a key is pressed when some words are there."""
    pid, there = pty.fork()
    if pid == 0:  # pragma: no cover - another process
        os.environ |= environment(TERM="xterm-256color", LINES="40", COLUMNS="120")
        os.execv(sys.executable, [sys.executable, "-m", "ccostdb", *words])
    written, until_s, is_pressed = b"", time.monotonic() + 60, not press
    try:
        while time.monotonic() < until_s and (chunk := os.read(there, 65536)):
            written += chunk
            if not is_pressed and wait_for in written.decode(errors="replace"):
                os.write(there, press.encode())
                is_pressed = True
    except OSError:  # Linux: the other side is closed
        pass
    finally:
        if time.monotonic() >= until_s:
            os.kill(pid, signal.SIGKILL)
        os.close(there)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), written.decode(errors="replace")

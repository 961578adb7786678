"""Windows: every event once, every loss counted. Against a reference server, and against captures of the real one."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from windows_model import FAULTS, HIDING, SECOND, T0, Reader, Server, event

from ccostdb.frames import sse_events
from ccostdb.model import Gap, replace
from ccostdb.sources.cco import parse
from ccostdb.windows import WindowState, step

CAPTURES = sorted(path.parent for path in Path(__file__).parent.glob("data/cco/*/expected.json"))
PRICE = 1_050_000
HONEST = sorted(FAULTS.keys() - HIDING)
ORDERED = [name for name in HONEST if name != "newest first"]  # a short first window turned round cannot be told


def watch(server: Server) -> Reader:
    """A reader that saw the server idle, so that nothing is before its time."""
    reader = Reader(size=server.size)
    reader.see(server.frame())
    reader.see(server.frame())
    return reader


def kinds(reader: Reader) -> list[tuple[str, int | None, int | None]]:
    return [(gap.kind, gap.calls, gap.cost_nusd) for gap in reader.gaps]


# ---- what one source sends, without faults


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.name)
def test_a_captured_stream_gives_the_rows_the_money_and_the_missing_calls_that_are_known_of_it(capture):
    expected = json.loads((capture / "expected.json").read_text())
    reader = Reader()
    for stream in sorted(capture.glob("*.sse")):
        for sent in sse_events([stream.read_bytes()]):
            snapshot = parse(sent, 0)
            assert snapshot is not None
            reader.see(snapshot)
            reader.crash()
    rows = Counter(one.event_type for one in reader.events)
    assert {kind: rows[kind] for kind in expected["rows_by_type"]} == expected["rows_by_type"]
    assert len(reader.rows) == expected["rows"]
    assert sum(one.cost_nusd or 0 for one in reader.events) == round(expected["cost_of_rows"] * 1e9)
    assert reader.state is not None and reader.state.deficit is not None
    assert reader.missing_calls + reader.state.deficit.calls == expected["missing_calls"]
    if capture.name != "restart":
        pending = reader.state.deficit.nusd or 0
        assert reader.nusd + pending == round(expected["last_cost"] * 1e9)


def test_a_server_that_restored_lower_totals_has_lost_nothing_but_an_unknown_rest():
    server = Server()
    reader = watch(server)
    server.fresh(20)
    reader.see(server.frame())
    server.restart(lost_totals=5)
    assert not reader.see(server.frame()).is_restart  # one empty frame may be an odd one
    assert reader.see(server.frame()).is_restart
    server.fresh(7)
    reader.see(server.frame())
    server.fresh(8)
    for _ in range(3):
        reader.see(server.frame())
    assert reader.events == server.truth
    assert [gap.kind for gap in reader.gaps] == ["restart"]
    assert [(row.epoch, row.seq) for row in reader.rows] == [(1, i) for i in range(20)] + [(2, i) for i in range(15)]


def test_calls_before_the_first_frame_are_an_attach_gap_of_unknown_start():
    server = Server()
    server.fresh(500)
    reader = Reader()
    first = server.frame()
    reader.see(first)
    assert reader.gaps == []
    server.fresh(3)
    last = server.frame()
    reader.see(last)
    assert kinds(reader) == [("attach", 480, sum(one.cost_nusd or 0 for one in server.truth[:480]))]
    assert (reader.gaps[0].from_ns, reader.gaps[0].to_ns) == (None, last.last_updated_ns)
    assert reader.events == server.truth[480:]


def test_a_loss_after_a_quiet_attach_is_an_overflow_between_the_frames_around_it():
    server = Server()
    reader = watch(server)
    before = server.frame()
    reader.see(before)
    server.fresh(25, nusd=0)
    reader.see(server.frame())
    assert reader.gaps == []
    confirming = server.frame()
    reader.see(confirming)
    cost = sum(one.cost_nusd or 0 for one in server.truth[:5])
    assert confirming.last_updated_ns is not None
    assert reader.gaps == [
        Gap(
            1,
            "overflow",
            before.last_updated_ns,
            confirming.last_updated_ns,
            5,
            cost,
            confirming.received_ns,
        )
    ]


def test_losses_in_every_frame_are_each_counted_and_none_twice():
    server = Server()
    reader = watch(server)
    for _ in range(10):
        server.fresh(33)
        reader.see(server.frame())
    reader.see(server.frame())
    assert (len(reader.rows), reader.missing_calls) == (200, 130)
    assert (reader.calls, reader.nusd) == server.totals[-1]


def test_a_loss_of_just_one_window_does_not_make_the_same_window_new_again():
    server = Server()
    reader = watch(server)
    server.fresh(40)
    for _ in range(3):
        reader.see(server.frame())
    assert (reader.events, reader.missing_calls) == (server.truth[20:], 20)


def test_a_deficit_that_is_pending_when_the_server_restarts_is_not_dropped():
    server = Server()
    reader = watch(server)
    server.fresh(44)
    reader.see(server.frame())
    server.restart(lost_totals=None)
    server.fresh(4)
    for _ in range(3):
        reader.see(server.frame())
    assert [(gap.epoch, gap.kind, gap.calls) for gap in reader.gaps] == [
        (1, "overflow", 24),
        (2, "restart", None),
    ]
    assert reader.events == server.truth[24:]


def test_totals_that_are_restored_with_calls_we_never_saw_leave_only_those_missing():
    server = Server()
    reader = watch(server)
    server.fresh(20)
    reader.see(server.frame())
    server.fresh(6)  # never shown, but counted and saved
    server.restart(lost_totals=2)
    for _ in range(3):
        reader.see(server.frame())
    assert reader.missing_calls == 4
    assert reader.events == server.truth[:20]


def test_behind_a_full_window_the_nearer_of_all_restored_and_nothing_restored_is_taken():
    for lost_totals, missing in ((40, 30), (None, 30)):
        server = Server()
        reader = watch(server)
        for _ in range(100):
            server.fresh(20)
            reader.see(server.frame())
        server.restart(lost_totals=lost_totals)
        server.fresh(50)
        for _ in range(3):
            reader.see(server.frame())
        known = missing - (lost_totals or 0)  # what was not saved cannot be told from what was not shown
        assert (reader.missing_calls, len(reader.rows)) == (max(0, known), 2020)


def test_a_server_that_starts_twice_before_it_is_heard_does_not_bring_old_calls_back():
    server = Server()
    reader = watch(server)
    server.fresh(20)
    reader.see(server.frame())
    server.restart(lost_totals=5)
    reader.see(FAULTS["no counters"](server.frame()))
    server.restart()
    for _ in range(3):
        reader.see(server.frame())
    assert reader.missing_calls == 0


def test_a_server_that_restored_all_it_counted_goes_on_in_the_same_epoch():
    server = Server()
    reader = watch(server)
    server.fresh(30)
    reader.see(server.frame())
    reader.see(server.frame())
    server.restart()
    reader.see(server.frame())
    server.fresh(20)
    reader.see(server.frame())
    assert {row.epoch for row in reader.rows} == {1}
    assert kinds(reader) == [("overflow", 10, sum(one.cost_nusd or 0 for one in server.truth[:10]))]
    assert reader.events == server.truth[10:]


def test_a_machine_that_slept_has_not_restarted():
    server = Server()
    reader = watch(server)
    server.fresh(30)
    reader.see(server.frame())
    server.boot_ns += 3600 * SECOND  # uptime stood still
    server.now_ns += 3600 * SECOND
    server.fresh(2)
    assert not reader.see(server.frame(skew=2)).is_restart
    reader.see(server.frame())
    assert reader.events == server.truth[10:]


@pytest.mark.parametrize(("first", "burst"), [(5, 45), (0, 45), (5, 215), (0, 150)])
def test_calls_lost_soon_after_counters_began_anew_are_not_taken_for_restored_ones(first, burst):
    server = Server()
    reader = watch(server)
    for _ in range(10):
        server.fresh(10)
        reader.see(server.frame())
    server.restart(lost_totals=None)
    for fresh in (first, burst, 0, 0):
        server.fresh(fresh)
        reader.see(server.frame())
        reader.crash()
    assert kinds(reader)[1:] == [("overflow", burst - 20, reader.gaps[-1].cost_nusd)]
    assert reader.calls == len(server.truth)


def test_zeroed_counters_beside_the_first_windows_of_a_server_do_not_bring_old_calls_back():
    server = Server()
    reader = watch(server)
    server.fresh(20)
    reader.see(server.frame())
    server.restart(lost_totals=2)
    reader.see(FAULTS["zeroed counters"](server.frame()))
    for _ in range(3):
        server.fresh(3)
        reader.see(server.frame())
    reader.see(server.frame())
    assert (reader.missing_calls, reader.events) == (0, server.truth)


# ---- frames that are wrong


@pytest.mark.parametrize(("count", "step_ns"), [(2, 1_100_000), (4, 1_000), (9, 500_000_000), (20, 10_000_000)])
@pytest.mark.parametrize("has_uptime", [True, False])
def test_calls_in_the_wrong_order_of_time_stay_as_sent(count, step_ns, has_uptime):
    server = Server(has_uptime=has_uptime)
    reader = watch(server)
    for _ in range(3):
        server.disorder(count, step_ns)
        reader.see(server.frame())
        server.fresh(1)
        reader.see(server.frame())
    assert (reader.events, reader.gaps) == (server.truth, [])


@pytest.mark.parametrize("has_uptime", [True, False])
def test_a_clock_set_back_by_two_seconds_does_not_turn_the_windows(has_uptime):
    server = Server(has_uptime=has_uptime)
    reader = watch(server)
    for second in (10,) * 10 + (8,) * 3 + (9,):
        server.call(event("m", len(server.truth), occurred_ns=server.boot_ns + second * SECOND))
        if len(server.truth) >= 13:
            reader.see(server.frame())
    server.set_clock_back()
    server.fresh(3)
    for _ in range(2):
        reader.see(server.frame())
    assert (reader.events, reader.gaps) == (server.truth, [])


def test_a_first_window_that_surely_falls_is_turned_round_and_nothing_doubles_if_that_was_wrong():
    for is_turned in (True, False):
        server = Server()
        server.disorder(12, SECOND)
        reader = Reader()
        for fresh in (0, 3, 2):
            server.fresh(fresh)
            good = server.frame()
            reader.see(FAULTS["newest first"](good) if is_turned else good)
        assert Counter(reader.events) == Counter(server.truth)
        assert reader.gaps == []
    server = Server()
    reader = Reader()
    for fresh in (12, 3, 20, 1):
        server.now_ns += SECOND
        for _ in range(fresh):
            server.now_ns += SECOND // 2
            server.fresh(1)
        reader.see(FAULTS["newest first"](server.frame()))
    assert (reader.events, reader.gaps) == (server.truth, [])


def test_an_older_server_that_answers_in_turn_with_a_newer_one_is_passed_over():
    older, newer = Server(boot_ns=T0 - 100 * SECOND, now_ns=T0 - 50 * SECOND), Server()
    older.fresh(25)
    newer.fresh(20)
    reader = Reader()
    for turn in range(8):
        server = (older, newer)[turn % 2]
        for _ in range(3):
            older.now_ns = newer.now_ns = max(older.now_ns, newer.now_ns)
            reader.see(server.frame())
    assert reader.events == older.truth[5:] + newer.truth
    for _ in range(30):  # the newer one has gone
        reader.see(older.frame())
    assert reader.events == older.truth[5:] + newer.truth + older.truth[5:]


@pytest.mark.parametrize("fine", [True, False])
@pytest.mark.parametrize("odd", [["odd uptime", "empty"], ["odd uptime", "odd uptime, empty"], ["zeroed"] * 2])
def test_an_odd_uptime_and_an_empty_frame_do_not_bring_the_window_back(fine, odd):
    server = Server()
    reader = watch(server)
    for _ in range(3):
        for _ in range(9):
            server.call(event("m", len(server.truth), occurred_ns=server.now_ns + len(server.truth) * fine))
        reader.see(server.frame())
    for name in odd:
        reader.see(FAULTS[name](server.frame()))
    for _ in range(3):
        reader.see(server.frame())
    assert (reader.events, reader.gaps) == (server.truth, [])


@pytest.mark.parametrize("times", [1, 2])
def test_a_counter_beyond_belief_makes_no_event_new_again(times):
    server = Server()
    reader = watch(server)
    for name in ("abcdefghi", "jklmnopqr", "stuvwxyz"):
        server.call(*map(event, name))
        reader.see(server.frame())
    for _ in range(times):
        reader.see(FAULTS["leapt counter"](server.frame()))
    for _ in range(4):
        reader.see(server.frame())
    assert reader.events == server.truth
    assert reader.calls == len(server.truth)


def test_one_empty_frame_tells_nothing():
    server = Server()
    reader = watch(server)
    server.fresh(20)
    reader.see(server.frame())
    for _ in range(3):
        assert not reader.see(FAULTS["empty"](server.frame())).is_changed
    server.fresh(10)
    reader.see(server.frame())
    assert reader.events == server.truth


def test_one_frame_with_zeroed_counters_makes_no_gap_and_two_do_not_either():
    server = Server()
    reader = watch(server)
    for times in (1, 2):
        server.fresh(15)
        reader.see(server.frame())
        for _ in range(times):
            reader.see(FAULTS["zeroed counters"](server.frame()))
        server.fresh(5)
        reader.see(server.frame())
        reader.see(server.frame())
    assert (reader.gaps, reader.events) == ([], server.truth)


def test_a_counter_that_stays_low_within_one_boot_is_believed_and_the_excess_is_said():
    server = Server()
    reader = watch(server)
    server.fresh(15)
    reader.see(server.frame())
    server.totals = [(4, 4 * PRICE)]
    for _ in range(3):
        reader.see(server.frame())
    assert [(gap.kind, gap.calls) for gap in reader.gaps] == [("excess", -11)]
    assert (reader.calls, reader.nusd) == server.totals[-1]


def test_frames_with_the_newest_event_first_are_turned_round():
    server = Server()
    reader = watch(server)
    for fresh in (1, 2, 7, 20, 0, 20, 3):
        server.fresh(fresh)
        reader.see(FAULTS["newest first"](server.frame()))
    assert (reader.events, reader.gaps) == (server.truth, [])


def test_two_events_of_a_young_server_that_are_out_of_order_stay_as_sent():
    server = Server()
    reader = watch(server)
    late, early = (event("m", occurred_ns=server.now_ns + offset) for offset in (800_000, 0))
    server.call(late, early)
    reader.see(server.frame())
    server.fresh(1)
    reader.see(server.frame())
    assert reader.events == server.truth


def test_late_timestamps_do_not_disturb():
    server = Server()
    reader = watch(server)
    for number in range(100):
        server.now_ns += SECOND
        server.call(event("m", occurred_ns=server.now_ns - (9 * SECOND if number % 10 == 3 else 0)))
        reader.see(server.frame())
    assert reader.events == server.truth


def test_a_frame_of_an_earlier_time_changes_nothing_whichever_boot_sent_it():
    server = Server()
    reader = watch(server)
    server.fresh(20)
    old = [server.frame(), server.frame()]
    server.fresh(15)
    reader.see(server.frame())
    server.restart(lost_totals=3)
    server.fresh(5)
    reader.see(server.frame())
    reader.see(server.frame())
    rows, gaps = list(reader.rows), list(reader.gaps)
    for snapshot in (*old, replace(old[0], uptime_s=None), *old):
        assert not reader.see(replace(snapshot, received_ns=server.now_ns)).is_changed
    server.fresh(1)
    reader.see(server.frame())
    assert (reader.gaps, [row.activity for row in reader.rows[len(rows) :]]) == (gaps, server.truth[-1:])


def test_a_clock_that_was_set_back_does_not_stop_the_reading():
    server = Server()
    reader = watch(server)
    server.fresh(20)
    reader.see(server.frame())
    server.now_ns -= 3600 * SECOND
    server.boot_ns -= 3600 * SECOND
    server.fresh(5)
    reader.see(server.frame())
    assert (reader.events, reader.gaps) == (server.truth, [])


def test_one_frame_from_the_year_2100_does_not_stop_the_reading():
    server = Server()
    reader = watch(server)
    server.fresh(20)
    reader.see(replace(server.frame(), last_updated_ns=4_102_444_800 * SECOND))
    server.fresh(60)
    reader.see(server.frame())
    reader.see(server.frame())
    assert (len(reader.rows), reader.missing_calls) == (40, 40)
    assert reader.events == server.truth[:20] + server.truth[60:]


def test_a_frame_delivered_twice_does_not_confirm_its_own_deficit():
    server = Server()
    reader = watch(server)
    server.fresh(25)
    lossy = server.frame()
    reader.see(lossy)
    for _ in range(3):
        assert not reader.see(lossy).is_changed
    assert reader.gaps == []


def test_a_window_that_does_not_fit_is_believed_when_the_next_one_goes_on_from_it():
    server = Server(size=10)  # a server whose ring is smaller than we think
    reader = Reader(size=20)
    for _ in range(3):
        server.fresh(5)
        reader.see(server.frame())
    for _ in range(10):
        server.fresh(2)
        reader.see(server.frame())
    reader.see(server.frame())
    assert reader.events == server.truth


@pytest.mark.parametrize(("name", "age"), [*product(sorted(FAULTS), [20, 33]), *product(HONEST, [0, 7])])
def test_a_fault_in_every_other_frame_neither_adds_nor_loses_a_row(name, age):
    server = Server()
    server.fresh(age)
    reader = watch(server)
    for fresh in (1, 3, 8, 0, 7, 2, 0, 8, 8, 1, 0, 0):
        server.fresh(fresh)
        reader.see(FAULTS[name](server.frame()))
        server.fresh(fresh // 2)
        reader.see(server.frame())
    assert reader.events == server.truth[max(0, age - 20) :]
    assert reader.missing_calls == max(0, age - 20)


# ---- bodies without windows or counters, and what they cost


def test_flat_statistics_make_neither_rows_nor_gaps():
    server = Server()
    server.fresh(9)
    flat = replace(server.frame(), activity=None, last_updated_ns=None, uptime_s=None)
    result = step(None, flat)
    assert (result.new, result.gaps, result.is_changed, result.state) == ((), (), False, WindowState())


def test_without_any_counter_rows_are_aligned_and_nothing_is_said_to_be_missing():
    server = Server()
    reader = Reader()
    for fresh in (3, 19, 0, 20, 7):
        server.fresh(fresh)
        reader.see(FAULTS["no counters"](server.frame()))
    assert (reader.events, reader.gaps) == (server.truth, [])


def test_money_without_missing_calls_is_no_gap_but_goes_into_the_next_one():
    server = Server()
    reader = watch(server)
    server.totals[-1] = (0, 3)
    server.fresh(10)
    for _ in range(3):
        reader.see(server.frame())
    assert reader.gaps == []
    server.fresh(21, nusd=1000)
    reader.see(server.frame())
    reader.see(server.frame())
    assert kinds(reader) == [("overflow", 1, (server.truth[10].cost_nusd or 0) + 3)]


def test_a_gap_has_no_money_where_the_server_tells_none():
    server = Server()
    reader = watch(server)
    server.fresh(25)
    for _ in range(2):
        reader.see(FAULTS["no cost"](server.frame()))
    assert kinds(reader) == [("overflow", 5, None)]


def test_overrides_are_rows_but_not_calls():
    server = Server()
    reader = watch(server)
    for number in range(30):
        server.call(
            event(f"o{number}", None, "model_override"),
            event(f"c{number}", 0, "cache_hit"),
            event(f"a{number}", PRICE),
        )
        reader.see(server.frame())
    assert (reader.events, reader.gaps) == (server.truth, [])
    assert reader.state is not None and reader.state.accounted_calls == 60


def test_a_quiet_frame_needs_no_transaction_and_the_state_stays_small():
    server = Server()
    reader = watch(server)
    server.fresh(50)
    reader.see(server.frame())
    reader.see(server.frame())
    assert not reader.see(server.frame()).is_changed
    strange = replace(server.frame(), activity=tuple(event(f"strange {n}") for n in range(20)))
    assert reader.see(strange).is_changed
    assert reader.state is not None and len(reader.state.rejected) == 20
    assert len(reader.state.to_json()) < 1500
    assert WindowState.from_json(reader.state.to_json()) == reader.state


def test_saturation_is_the_share_of_the_window_that_is_new():
    server = Server()
    reader = watch(server)
    server.fresh(5)
    assert reader.see(server.frame()).saturation == 0.25
    server.fresh(100)
    assert reader.see(server.frame()).saturation == 1.0


# ---- properties

contents = st.sampled_from(["a", "b", "c"])
ticks = st.lists(
    st.one_of(
        st.lists(contents, max_size=20),
        st.integers(0, 20).map(lambda count: ["a"] * count),
        st.lists(st.sampled_from([f"r{n}" for n in range(18)]), max_size=20),
    ),
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(ticks)
def test_whatever_the_contents_every_event_is_stored_once_and_in_order_if_a_window_shows_it(history):
    server = Server()
    reader = watch(server)
    for names in history:
        server.call(*(event(name, nusd=len(name) * 1000) for name in names))
        reader.see(server.frame())
        reader.crash()
    reader.see(server.frame())
    assert (reader.events, reader.gaps) == (server.truth, [])


@pytest.mark.parametrize(("size", "length"), [(2, 7), (3, 6)])
def test_every_short_history_of_two_contents_in_every_partition_is_exact(size, length):
    for partition in partitions(length, size):
        for names in product("ab", repeat=length):
            assert rows_of(names, partition, size) == list(names), (names, partition)


def partitions(length: int, most: int) -> list[tuple[int, ...]]:
    """Every way to split `length` events into ticks of 1 to `most`."""
    if not length:
        return [()]
    firsts = range(1, min(most, length) + 1)
    return [(first, *rest) for first in firsts for rest in partitions(length - first, most)]


EVENTS = {name: event(name) for name in "ab"}


def rows_of(names: tuple[str, ...], partition: tuple[int, ...], size: int) -> list[str | None]:
    server, state, rows = Server(size=size), None, []
    sent = iter(names)
    for count in (0, *partition):
        server.call(*(EVENTS[next(sent)] for _ in range(count)))
        result = step(state, server.frame(), size=size)
        assert not result.gaps
        state = result.state
        rows += [row.activity.model for row in result.new]
    return rows


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(st.lists(contents, max_size=60), st.integers(0, 60).map(lambda n: ["a"] * n)), max_size=12),
    st.booleans(),
)
def test_all_that_was_shown_is_stored_and_all_else_is_counted_whatever_the_contents(history, is_attached_late):
    server = Server()
    reader = Reader() if is_attached_late else watch(server)
    shown = []
    for names in history:
        server.call(*(event(name, nusd=ord(name) * 7) for name in names))
        shown += names[-20:]
        reader.see(server.frame())
    for _ in range(2):
        reader.see(server.frame())
    assert [one.model for one in reader.events] == shown
    assert (reader.calls, reader.nusd) == server.totals[-1]
    assert all(gap.calls is not None and gap.calls > 0 for gap in reader.gaps)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from(["see", "crash", "again", "old", "down", "restart"])),
        max_size=15,
    )
)
def test_a_frame_delivered_again_and_a_crash_at_any_instant_change_nothing(history):
    server = Server()
    steady, shaken = watch(server), Reader()
    shaken.state, shaken.persisted = steady.state, steady.persisted
    sent = []
    for fresh, happening in history:
        if happening == "restart":
            server.restart(lost_totals=2)
        server.fresh(fresh)
        sent.append(server.frame())
        steady.see(sent[-1])
        shaken.see(sent[-1])
        if happening in ("crash", "down"):
            shaken.crash()
        repeated = {"again": sent[-1:], "down": sent[-3:], "old": sent[:]}.get(happening, [])
        for snapshot in repeated:
            shaken.see(replace(snapshot, received_ns=server.now_ns))
    assert shaken.rows == steady.rows
    for kept, known in zip(shaken.gaps, steady.gaps, strict=True):
        assert kept == replace(known, from_ns=kept.from_ns)  # a crash forgets quiet frames: an earlier bound
        assert kept.from_ns is None or known.from_ns is None or kept.from_ns <= known.from_ns


RESTARTS = {"restart": 0, "restart anew": None, "restart lower": 2}
troubles = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.sampled_from(["", "", "", *RESTARTS, "stale", "disorder", "clock set back", "older server", *HONEST]),
        st.integers(-2, 2),
    ),
    max_size=25,
)


@settings(max_examples=500, deadline=None)
@given(troubles)
def test_under_faults_no_row_is_ever_surplus_and_none_is_lost_that_was_shown(history):
    server = Server()
    reader = watch(server)
    older = Server(boot_ns=T0 - 1000 * SECOND, now_ns=T0 - 500 * SECOND)
    older.fresh(25)
    sent = [server.frame()]
    for fresh, trouble, skew in history:
        if trouble in RESTARTS:
            reader.see(server.frame())  # nothing is lost by the restart itself
            reader.see(server.frame())
            server.restart(RESTARTS[trouble])
        if trouble == "stale":
            reader.see(replace(sent[len(sent) // 2], received_ns=server.now_ns))
        if trouble == "older server":
            older.now_ns = server.now_ns
            reader.see(older.frame(after_s=1))
        if trouble == "clock set back":
            server.fresh(1)  # of a ring that is empty nothing tells that its server lives on
            reader.see(server.frame())
            server.set_clock_back()
        if trouble == "disorder":
            server.disorder(fresh)
        else:
            server.fresh(fresh)
        # Ahead or behind at a restart, or at what looks like one, is a deficit for ever.
        is_new_boot = trouble in RESTARTS or trouble in ("no time", "no uptime", "odd uptime", "clock set back")
        sent.append(server.frame(skew=0 if is_new_boot else skew))
        reader.see(FAULTS[trouble](sent[-1]) if trouble in FAULTS else sent[-1])
        assert not Counter(reader.events) - Counter(server.truth)
        sent.append(server.frame())
        reader.see(sent[-1])
    for _ in range(2):
        reader.see(server.frame())
    assert Counter(reader.events) == Counter(server.truth)
    if all(trouble != "newest first" for _, trouble, _ in history):  # a young window turned round cannot be told
        assert reader.events == server.truth
    assert reader.missing_calls == 0


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(-2, 2), st.sampled_from(["", "", *ORDERED])), max_size=15))
def test_skewed_counters_and_losses_add_up_after_quiet_frames(history):
    server = Server()
    reader = watch(server)
    for fresh, skew, trouble in history:
        server.fresh(fresh)
        snapshot = server.frame(skew=skew)
        reader.see(FAULTS[trouble](snapshot) if trouble else snapshot)
        assert not Counter(reader.events) - Counter(server.truth)
    for after_s in (130, 5, 5, 5):  # an odd uptime may have made the server look older than it is for two minutes
        reader.see(server.frame(after_s=after_s))
    if reader.state is not None and reader.state.epoch == 1:  # else one frame hid the server's age and its calls
        assert (reader.calls, len(server.truth)) == (server.totals[-1][0],) * 2

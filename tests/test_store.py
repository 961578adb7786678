"""Appending: everything in a batch, or nothing; and the same again changes nothing."""

import asyncio
import gc
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing

import pytest
from transcripts import rows, settings_for

from ccostdb.model import Activity, Batch, Call, Claim, Gap, Numbered, Position, Reject, Snapshot, Usage
from ccostdb.settings import Settings
from ccostdb.store import BATCHES_A_TRANSACTION, Store, open_store

NOON_NS = 1_786_536_000_000_000_000


def call(call_id: str = "a", **words: object) -> Call:
    """A call with some words of `Call` and of `Claim`; of `Usage`, any makes the others 0."""
    of_usage = {name: words.pop(name) for name in Usage._fields if name in words}
    of_claim = {name: words.pop(name) for name in Claim._fields if name in words}
    usage = Usage(**{**dict.fromkeys(Usage._fields[:5], 0), **of_usage}) if of_usage else None  # type: ignore[arg-type]
    claim = Claim(usage, **{"model": "m", **of_claim})  # type: ignore[arg-type]
    return Call(call_id, NOON_NS, False, claim, **{"total_tokens": 5, **words})  # type: ignore[arg-type]


def with_store(settings: Settings, body: Callable[[Store, int, int], Awaitable[None]]) -> None:
    async def run() -> None:
        async with open_store(settings) as store:
            source_id = await store.source_id("cco", "http://x")
            await body(store, source_id, await store.start_run(source_id, NOON_NS, "reading"))

    asyncio.run(run())


def test_a_batch_is_appended_whole(tmp_path):
    settings = settings_for(tmp_path)
    event = Activity("i", "t", NOON_NS, "api_call", None, "m", 5, 1, "success", "0.5", 500_000_000)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        batch = Batch(
            source_id,
            run_id,
            NOON_NS,
            calls=[call(project="p", agent="g", session="s", speed="fast")],
            activities=[Numbered(1, 0, event)],
            snapshot=Snapshot(NOON_NS, NOON_NS, 3, 1, "0.5", 500_000_000, (event,)),
            gaps=[Gap(1, "overflow", None, NOON_NS, 2, 7, NOON_NS)],
            rejects=[Reject(NOON_NS, "why", "what", "f:0"), Reject(NOON_NS, "why", "what", "f:0")],
            positions=[Position(store.new_position_id(), "", state="{}")],
            frames=3,
        )
        await store.append(batch)
        await store.append(Batch(source_id, run_id, NOON_NS, positions=[batch.positions[0]], frames=1))

    with_store(settings, body)
    (found,) = rows(settings)
    assert (found["project"], found["agent"], found["session_id"], found["model"]) == ("p", "g", "s", "m")
    counts = {name: rows(settings, f"select count(*) as n from {name}")[0]["n"]
              for name in ("activity", "snapshot", "gap", "rejected", "position")}  # fmt: skip
    assert set(counts.values()) == {1}, counts
    assert rows(settings, "select frames, rows, rejected from run") == [{"frames": 4, "rows": 2, "rejected": 2}]
    assert rows(settings, "select has_calls from source") == [{"has_calls": 1}]


def test_a_batch_that_fails_leaves_nothing_and_the_next_one_works(tmp_path):
    settings = settings_for(tmp_path)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        bad = Batch(source_id, run_id, NOON_NS, calls=[call(session="s"), call("b", status=b"no text")])
        with pytest.raises(sqlite3.IntegrityError):
            await store.append(bad)
        assert not store.db.in_transaction
        await store.append(Batch(source_id, run_id, NOON_NS, calls=[call("c", session="s")]))

    with_store(settings, body)
    assert [(row["call_id"], row["session_id"]) for row in rows(settings)] == [("c", "s")]
    assert rows(settings, "select has_calls from source") == [{"has_calls": 1}]


def test_a_stored_call_comes_back_as_it_went_in(tmp_path):
    settings = settings_for(tmp_path)
    mine = call("a", project="p", agent="g", session='s"\0t', speed="fast", version="1", rivals="[]",
                input_tokens=1, is_copied=True, reported_text="0.1", advisor="[]", git_branch=None)  # fmt: skip

    async def body(store: Store, source_id: int, run_id: int) -> None:
        await store.append(Batch(source_id, run_id, NOON_NS, calls=[mine, call("b", model=None)]))
        assert await store.stored_calls(["a", "b", "c"]) == {"a": mine, "b": call("b", model=None)}

    with_store(settings, body)


def test_a_changed_call_replaces_its_row_and_moves_its_quarter_hour(tmp_path):
    settings = settings_for(tmp_path)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        await store.append(Batch(source_id, run_id, NOON_NS, calls=[call("a", total_tokens=5)]))
        await store.refresh()
        moved = call("a", total_tokens=9)
        moved.occurred_ns += 3600 * 10**9
        await store.append(Batch(source_id, run_id, NOON_NS, calls=[moved]))
        await store.refresh()

    with_store(settings, body)
    found = rows(settings, "select total_tokens, bucket_s - 1786536000 as later_s from rollup_quarter_hour")
    assert found == [{"total_tokens": 9, "later_s": 3600}]


def test_another_home_zone_renames_the_days_of_the_ledger(tmp_path):
    settings = settings_for(tmp_path)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        await store.append(Batch(source_id, run_id, NOON_NS, calls=[call()]))
        await store.refresh()

    with_store(settings, body)

    async def look(store: Store, source_id: int, run_id: int) -> None:
        assert store.home_tz.key == "Pacific/Kiritimati"

    with_store(Settings(db=settings.db, home_tz="Pacific/Kiritimati"), look)
    assert rows(settings, "select day from daily_costs") == [{"day": "2026-08-13"}]


def test_what_a_stream_is_refused_again_is_counted_and_a_files_place_is_kept_once(tmp_path):
    settings = settings_for(tmp_path)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        alike = [Reject(NOON_NS, "why", "what"), Reject(NOON_NS, "why", "what", times=3), Reject(NOON_NS, "why", None)]
        placed = [Reject(NOON_NS, "why", "what", "f:0"), Reject(NOON_NS, "why", "what", "f:9")]
        for _ in range(2):
            await store.append(Batch(source_id, run_id, NOON_NS, rejects=[*alike, *placed]))

    with_store(settings, body)
    found = {(row["place"], row["excerpt"]): row["times"] for row in rows(settings, "select * from rejected")}
    assert found == {(None, "what"): 8, (None, None): 2, ("f:0", "what"): 1, ("f:9", "what"): 1}
    assert rows(settings, "select rejected from source_health") == [{"rejected": 14}]


def test_a_second_address_of_a_kind_has_a_name_of_its_own_and_keeps_it(tmp_path):
    settings = settings_for(tmp_path)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        other = await store.source_id("cco", "http://localhost:3000")
        assert source_id != other == await store.source_id("cco", "http://localhost:3000")
        assert source_id == await store.source_id("cco", "http://x")

    with_store(settings, body)
    assert [row["name"] for row in rows(settings, "select name from source")] == ["cco", "cco localhost:3000"]


def test_a_call_that_loses_what_few_calls_have_loses_it_in_its_row(tmp_path):
    settings = settings_for(tmp_path)
    rare = call(rivals="[]", is_copied=True, status="error", reported_text="0", reported_nusd=0, latency_ms=1)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        for each in (rare, call(), rare):
            await store.append(Batch(source_id, run_id, NOON_NS, calls=[each]))
            assert await store.stored_calls(["a"]) == {"a": each}

    with_store(settings, body)


def test_an_empty_word_and_none_are_two_circumstances(tmp_path):
    settings = settings_for(tmp_path)
    calls = [call("a", inference_geo=""), call("b", speed="fast"), call("c", speed="fast", inference_geo="")]

    async def body(store: Store, source_id: int, run_id: int) -> None:
        await store.append(Batch(source_id, run_id, NOON_NS, calls=calls[:1]))
        await store.append(Batch(source_id, run_id, NOON_NS, calls=[*calls, call("d")]))
        stored = await store.stored_calls("abcd")
        assert [each.claim.usage and each.claim.usage[6:9:2] for each in stored.values()] == [
            (None, ""),
            ("fast", None),
            ("fast", ""),
            None,
        ]

    with_store(settings, body)


def test_what_a_new_ledger_was_just_given_is_found_again(tmp_path):
    settings = settings_for(tmp_path)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        async with store.importing(may_share=False):
            assert await store.stored_calls(["a"]) == {}
            await store.append(Batch(source_id, run_id, NOON_NS, calls=[call("a")]))
            assert (await store.stored_calls(["a", "b"])).keys() == {"a"}
            with pytest.raises(sqlite3.IntegrityError):
                await store.append(Batch(source_id, run_id, NOON_NS, calls=[call("b"), call("c", status=b"no text")]))
            assert (await store.stored_calls(["a", "b"])).keys() == {"a"}
        await store.append(Batch(source_id, run_id, NOON_NS, calls=[call("d")]))
        async with store.importing(may_share=False):
            assert (await store.stored_calls(["a", "d"])).keys() == {"a", "d"}

    with_store(settings, body)

    async def again(store: Store, source_id: int, run_id: int) -> None:
        assert (await store.stored_calls(["a", "b"])).keys() == {"a"}

    with_store(settings, again)


@pytest.mark.parametrize("is_refresh", [False, True])
def test_a_write_that_is_cancelled_while_it_waits_for_its_turn_leaves_no_transaction_behind(tmp_path, is_refresh):
    settings = settings_for(tmp_path)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        await store.append(Batch(source_id, run_id, NOON_NS, calls=[call("a")]))
        with closing(sqlite3.connect(settings.db, isolation_level=None)) as other:
            other.execute("begin immediate")
            batch = Batch(source_id, run_id, NOON_NS, calls=[call("lost")])
            writing = asyncio.create_task(store.refresh() if is_refresh else store.append(batch))  # type: ignore[arg-type]
            await asyncio.sleep(0.2)
            writing.cancel()
            asyncio.get_running_loop().call_later(0.2, other.execute, "rollback")
            with pytest.raises(asyncio.CancelledError):
                await writing
        assert not store.db.in_transaction
        await store.start_run(source_id, NOON_NS, "reading")
        await store.append(Batch(source_id, run_id, NOON_NS, calls=[call("b")]))

    with_store(settings, body)
    assert [row["call_id"] for row in rows(settings)] == ["a", "b"]
    assert rows(settings, "select count(*) as n from run") == [{"n": 2}]


def test_after_an_import_the_disk_is_waited_for_again_whatever_happened(tmp_path):
    async def synchronous(store: Store) -> int:
        async with store.db.execute("pragma synchronous") as cursor:
            return int((await cursor.fetchone() or [0])[0])

    async def body(store: Store, source_id: int, run_id: int) -> None:
        with pytest.raises(ZeroDivisionError):
            async with store.importing(may_share=False):
                assert (await synchronous(store), gc.isenabled()) == (1, False)
                raise ZeroDivisionError
        assert (await synchronous(store), gc.isenabled()) == (2, True)

    with_store(settings_for(tmp_path), body)


def test_batches_of_an_import_that_is_alone_share_a_transaction_that_whoever_needs_his_own_ends(tmp_path):
    settings = settings_for(tmp_path)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        async with store.importing(may_share=True):
            for number in range(BATCHES_A_TRANSACTION + 2):
                await store.append(Batch(source_id, run_id, NOON_NS, new_calls=[call(f"{number:02}")], frames=1))
                known = await store.stored_calls([f"{number:02}"])
                assert list(known) == [f"{number:02}"]
            assert len(rows(settings)) == BATCHES_A_TRANSACTION
            await store.start_run(source_id, NOON_NS, "reading")
            assert len(rows(settings)) == BATCHES_A_TRANSACTION + 2
            await store.append(Batch(source_id, run_id, NOON_NS, new_calls=[call("x")]))
        assert not store.db.in_transaction
        await store.append(Batch(source_id, run_id, NOON_NS, new_calls=[call("y")]))
        assert not store.db.in_transaction

    with_store(settings, body)
    assert len(rows(settings)) == BATCHES_A_TRANSACTION + 4
    assert rows(settings, "select frames from run order by run_id limit 1") == [{"frames": BATCHES_A_TRANSACTION + 2}]


@pytest.mark.parametrize(("may_share", "stop"), [(False, None), (True, asyncio.Event())])
def test_whoever_waits_for_a_transaction_shares_none(tmp_path, may_share, stop):
    async def run() -> None:
        async with open_store(settings_for(tmp_path), stop) as store, store.importing(may_share=may_share):
            source_id = await store.source_id("cco", "http://x")
            await store.append(Batch(source_id, await store.start_run(source_id, NOON_NS, "reading"), NOON_NS))
            assert not store.db.in_transaction

    asyncio.run(run())


def test_what_a_failed_commit_took_back_is_stored_with_the_next_batch(tmp_path):
    settings = settings_for(tmp_path)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        await store.db.execute("pragma foreign_keys = on")
        async with store.importing(may_share=True):
            await store.append(Batch(source_id, run_id, NOON_NS, new_calls=[call("a", session="s")]))
            await store.db.execute("pragma defer_foreign_keys = on")  # so that it is the commit that fails
            await store.db.execute(
                "insert into call (call_id, source_id, occurred_ns) values ('bad', 999, ?)", (NOON_NS,)
            )
            with pytest.raises(sqlite3.IntegrityError):
                await store.start_run(source_id, NOON_NS, "reading")
            await store.append(Batch(source_id, run_id, NOON_NS, new_calls=[call("b", session="s")]))

    with_store(settings, body)
    assert [(row["call_id"], row["session_id"]) for row in rows(settings)] == [("b", "s")]
    assert rows(settings, "select has_calls from source") == [{"has_calls": 1}]


def test_a_batch_that_fails_takes_back_those_that_share_its_transaction(tmp_path):
    settings = settings_for(tmp_path)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        async with store.importing(may_share=True):
            await store.append(Batch(source_id, run_id, NOON_NS, new_calls=[call("a", session="s")]))
            with pytest.raises(sqlite3.IntegrityError):
                await store.append(Batch(source_id, run_id, NOON_NS, new_calls=[call("a")]))
            await store.append(Batch(source_id, run_id, NOON_NS, new_calls=[call("b", session="s")]))

    with_store(settings, body)
    assert [(row["call_id"], row["session_id"]) for row in rows(settings)] == [("b", "s")]


def test_a_new_call_that_is_there_all_the_same_takes_its_transaction_back(tmp_path):
    settings = settings_for(tmp_path)

    async def body(store: Store, source_id: int, run_id: int) -> None:
        await store.append(Batch(source_id, run_id, NOON_NS, new_calls=[call("a")]))
        with pytest.raises(sqlite3.IntegrityError):
            await store.append(Batch(source_id, run_id, NOON_NS, new_calls=[call("b"), call("a")], frames=7))
        await store.append(Batch(source_id, run_id, NOON_NS, calls=[call("a", status="error")], new_calls=[call("c")]))

    with_store(settings, body)
    assert [(row["call_id"], row["status"]) for row in rows(settings)] == [("a", "error"), ("c", None)]
    assert rows(settings, "select frames, rows from run") == [{"frames": 0, "rows": 3}]

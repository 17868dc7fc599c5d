from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.domain import JobStatus
from comfy_orchestrator_nodes.errors import Conflict, StoreBusy, StoreDamaged, StoreError, StoreFull, StoreNewer
from comfy_orchestrator_nodes.store import database as database_module
from comfy_orchestrator_nodes.store.backends import BackendRepository
from comfy_orchestrator_nodes.store.database import Database, set_aside
from comfy_orchestrator_nodes.store.invariants import check_invariants
from comfy_orchestrator_nodes.store.jobs import JobFilter, JobRepository
from comfy_orchestrator_nodes.store.schema import APPLICATION_ID
from comfy_orchestrator_nodes.store.settings import SettingRepository
from tests.unit.store.samples import NOW, a_backend, a_job, a_run, a_spec, dispatched

posix_only = pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes")


async def test_what_was_stored_is_there_after_reopening(path: Path) -> None:
    for _ in range(2):
        database = await Database.open(path)
        await SettingRepository(database).put("count", (await SettingRepository(database).get("count") or 0) + 1)
        await database.close()
    database = await Database.open(path)
    assert await SettingRepository(database).get("count") == 2
    await database.close()


@posix_only
async def test_only_the_owner_can_read_the_database_and_its_folder(path: Path) -> None:
    database = await Database.open(path)
    await BackendRepository(database).add(a_backend())
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert set(modes) == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
    assert set(modes.values()) == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700
    await database.close()


@posix_only
async def test_a_database_that_others_could_read_is_closed_to_them(path: Path) -> None:
    await (await Database.open(path)).close()
    path.chmod(0o644)
    await (await Database.open(path)).close()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO setting (key, value, changed_at) VALUES ('a', '1', 0)")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await database.write(work)
    assert await SettingRepository(database).get("a") is None
    await SettingRepository(database).put("a", "works again")


async def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(StoreError, match="readonly"):
        await database.read(lambda connection: connection.execute("DELETE FROM setting"))


async def test_reads_do_not_wait_for_a_write_under_way(database: Database) -> None:
    go_on = threading.Event()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO setting (key, value, changed_at) VALUES ('a', '1', 0)")
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(10)

    write = asyncio.ensure_future(database.write(work))
    await begun.wait()
    assert await SettingRepository(database).get("a") is None
    go_on.set()
    await write
    assert await SettingRepository(database).get("a") == 1


async def test_writes_from_many_tasks_all_arrive_in_order(database: Database) -> None:
    def add(number: int) -> None:
        async def one() -> None:
            await database.write(
                lambda connection: connection.execute(
                    "INSERT INTO setting (key, value, changed_at) VALUES (?, '0', 0)", (f"{number:03}",)
                )
            )

        tasks.append(asyncio.ensure_future(one()))

    tasks: list[asyncio.Future[None]] = []
    for number in range(100):
        add(number)
    await asyncio.gather(*tasks)
    stored = await database.read(lambda connection: connection.execute("SELECT key FROM setting").fetchall())
    assert [key for (key,) in stored] == [f"{number:03}" for number in range(100)]


async def test_a_write_is_done_even_if_nobody_waits_for_it_any_more(database: Database) -> None:
    blocked = threading.Event()
    first = asyncio.ensure_future(database.write(lambda connection: blocked.wait(10)))
    second = asyncio.ensure_future(SettingRepository(database).put("a", 1))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    blocked.set()
    await first
    await database.write(lambda connection: None)
    assert await SettingRepository(database).get("a") == 1


async def test_a_failure_that_nobody_waits_for_is_logged(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    blocked = threading.Event()

    def fail(connection: sqlite3.Connection) -> None:
        blocked.wait(10)
        raise RuntimeError("unheard")

    write = asyncio.ensure_future(database.write(fail))
    await asyncio.sleep(0)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    blocked.set()
    await database.write(lambda connection: None)
    assert "unheard" in caplog.text


async def test_closing_finishes_what_was_asked_for(path: Path) -> None:
    database = await Database.open(path)
    writes = [asyncio.ensure_future(SettingRepository(database).put(str(number), number)) for number in range(20)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*writes)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM setting").fetchone() == (20,)
    connection.close()


async def test_a_closed_database_says_so_and_can_be_closed_again(path: Path) -> None:
    database = await Database.open(path)
    await database.close()
    await database.close()
    with pytest.raises(StoreError, match="closed"):
        await SettingRepository(database).get("a")


def store_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("orchestrator-store")}


async def test_closing_ends_the_threads(path: Path) -> None:
    before = store_threads()
    database = await Database.open(path)
    started = store_threads() - before
    assert len(started) == 2
    await database.close()
    for thread in started:
        thread.join(10)
        assert not thread.is_alive()


async def test_opening_can_be_cancelled_and_leaves_nothing_open(path: Path) -> None:
    for _ in range(20):
        opening = asyncio.ensure_future(Database.open(path))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    for thread in store_threads():
        thread.join(10)
    gc.collect()
    await (await Database.open(path)).close()


async def test_a_loop_that_ended_does_not_end_the_store(path: Path) -> None:
    database = await Database.open(path)
    blocked = threading.Event()

    async def ask_and_leave() -> None:
        asking = asyncio.ensure_future(database.write(lambda connection: blocked.wait(10)))
        await asyncio.sleep(0)
        asking.cancel()

    await asyncio.to_thread(asyncio.run, ask_and_leave())
    blocked.set()
    await SettingRepository(database).put("a", 1)
    await database.close()


async def test_a_rule_of_the_schema_that_breaks_is_a_conflict(database: Database) -> None:
    with pytest.raises(Conflict, match="NOT NULL"):
        await database.write(
            lambda connection: connection.execute("INSERT INTO setting (key, value, changed_at) VALUES ('a', NULL, 0)")
        )


# --- damaged, newer and foreign files --------------------------------------------------------------------------------


async def make_large(path: Path) -> None:
    database = await Database.open(path)
    jobs = JobRepository(database)
    for number in range(200):
        await jobs.create(a_job(f"job-{number}"), run=a_run())
    await database.close()


@pytest.mark.parametrize("start", [0, 30, 100, 4096, 40960], ids=lambda start: f"from byte {start}")
async def test_a_damaged_file_is_told_and_left_as_it_is(path: Path, start: int) -> None:
    await make_large(path)
    content = bytearray(path.read_bytes())
    content[start : start + 3000] = b"\xa5" * 3000
    path.write_bytes(content)
    with pytest.raises(StoreDamaged) as caught:
        await Database.open(path)
    assert str(path) in str(caught.value)
    assert "moving it aside" in str(caught.value) or "Move it out of the way" in str(caught.value)
    assert path.read_bytes() == content


async def test_a_truncated_file_is_told_and_left_as_it_is(path: Path) -> None:
    await make_large(path)
    content = path.read_bytes()[:-10000]
    path.write_bytes(content)
    with pytest.raises(StoreDamaged):
        await Database.open(path)
    assert path.read_bytes() == content


async def test_a_file_that_is_no_database_is_told_and_left_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("this is a letter, not a database\n" * 50)
    with pytest.raises(StoreDamaged, match="not a database"):
        await Database.open(path)
    assert path.read_text().startswith("this is a letter")


async def test_damage_that_comes_while_the_database_is_open_is_told(path: Path) -> None:
    await make_large(path)
    database = await Database.open(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))
    with pytest.raises(StoreDamaged, match=path.name):
        await JobRepository(database).list()
    await database.close()


async def test_a_database_of_another_program_is_not_touched(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(StoreDamaged, match="another program"):
        await Database.open(path)
    assert path.read_bytes() == content


async def test_a_newer_database_is_not_touched(path: Path) -> None:
    await (await Database.open(path)).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()
    content = path.read_bytes()
    with pytest.raises(StoreNewer, match=r"newer version of this pack .*9999"):
        await Database.open(path)
    assert path.read_bytes() == content


async def test_a_damaged_row_is_named_and_the_others_stay_readable(database: Database) -> None:
    jobs = JobRepository(database)
    await jobs.create(a_job("whole"), run=a_run())
    await jobs.create(a_job("broken"))

    async def break_it(column: str, value: object) -> None:
        await database.write(
            lambda connection: connection.execute(f"UPDATE job SET {column} = ? WHERE id = 'broken'", (value,))
        )

    for column, value in (
        ("spec", "{"),
        ("spec", "[]"),
        ("spec", '{"definition_id": 5}'),
        ("spec", "[" * 100_000),
        ("outputs", '{"image": {"type": "IMAGE", "data": null, "files": [{"sha256": 7}]}}'),
        ("failure", '{"cause": "boredom", "message": ""}'),
        ("spec", b"\x00\xff"),
        ("status", "asleep"),
        ("item_index", "x"),
    ):
        await break_it(column, value)
        with pytest.raises(StoreDamaged, match="row of job 'broken'"):
            await jobs.get("broken")
        assert (await jobs.get("whole")).spec == a_spec()
    await database.write(lambda connection: connection.execute("DELETE FROM job WHERE id = 'broken'"))


async def test_a_list_leaves_a_damaged_row_out_and_says_so_once(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = JobRepository(database)
    await jobs.create(a_job("whole"), run=a_run())
    await jobs.create(a_job("broken"))
    await database.write(lambda connection: connection.execute("UPDATE job SET spec = '{' WHERE id = 'broken'"))
    for _ in range(2):
        assert [job.id for job in (await jobs.list()).jobs] == ["whole"]
        assert [job.id for job in await jobs.unfinished()] == ["whole"]
    assert caplog.text.count("row of job 'broken' is damaged") == 1
    await database.write(lambda connection: connection.execute("DELETE FROM job WHERE id = 'broken'"))


async def test_a_page_of_damaged_rows_still_leads_to_the_next(database: Database) -> None:
    jobs = JobRepository(database)
    for number in range(5):
        await jobs.create(a_job(f"job-{number}"), run=a_run())
    await database.write(lambda connection: connection.execute("UPDATE job SET spec = '{' WHERE id <> 'job-0'"))
    page = await jobs.list(limit=2)
    seen = [job.id for job in page.jobs]
    while page.next is not None:
        page = await jobs.list(limit=2, before=page.next)
        seen += [job.id for job in page.jobs]
    assert seen == ["job-0"]
    await database.write(lambda connection: connection.execute("DELETE FROM job WHERE id <> 'job-0'"))


async def test_setting_aside_keeps_everything_and_gives_an_empty_database(path: Path) -> None:
    database = await Database.open(path)
    await SettingRepository(database).put("a", 1)
    # A copy made now has a log, as after a crash.
    copies = {suffix: path.with_name(path.name + suffix).read_bytes() for suffix in ("", "-wal")}
    await database.close()
    for suffix, content in copies.items():
        path.with_name(path.name + suffix).write_bytes(content)
    aside = set_aside(path, now=NOW)
    assert aside.name == "orchestrator.sqlite3.20231114-221320.bak"
    database = await Database.open(path)
    assert await SettingRepository(database).get("a") is None
    await database.close()
    old = await Database.open(aside)
    assert await SettingRepository(old).get("a") == 1
    await old.close()


async def test_setting_aside_twice_in_a_second_overwrites_nothing(path: Path) -> None:
    names = set()
    for _ in range(3):
        await (await Database.open(path)).close()
        names.add(set_aside(path, now=NOW).name)
    assert len(names) == 3


def test_setting_aside_what_is_not_there_is_an_error(path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be moved aside"):
        set_aside(path, now=NOW)


@posix_only
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="cannot be opened"):
        await Database.open(tmp_path / "store.sqlite3")


async def test_a_file_where_the_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match="cannot be opened"):
        await Database.open(tmp_path / "taken" / "store.sqlite3")


# --- a killed process ------------------------------------------------------------------------------------------------

WORKER = """
import asyncio, pathlib, sys
sys.path.insert(0, sys.argv[2])
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.jobs import JobFilter, JobRepository
from tests.unit.store.samples import a_job, a_run, dispatched, succeeded

async def work() -> None:
    jobs = JobRepository(await Database.open(pathlib.Path(sys.argv[1])))
    for number in range(100_000):
        name = f"job-{number}"
        await jobs.create(a_job(name), run=a_run())
        await jobs.apply(dispatched(name))
        await jobs.apply(succeeded(name))
        print(name, flush=True)

asyncio.run(work())
"""


@pytest.mark.parametrize("lines", [1, 20, 100])
async def test_a_killed_process_loses_nothing_that_it_was_told_is_stored(path: Path, lines: int) -> None:
    def run_and_kill() -> list[str]:
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), str(Path(__file__).parents[3])], stdout=subprocess.PIPE, text=True
        ) as worker:
            assert worker.stdout is not None
            told = [worker.stdout.readline().strip() for _ in range(lines)]
            worker.kill()
            # What it still said before it died; the last line may be cut off.
            return told + worker.stdout.read().split("\n")[:-1]

    told = await asyncio.to_thread(run_and_kill)
    database = await Database.open(path)
    page = await JobRepository(database).list(JobFilter(statuses=(JobStatus.SUCCEEDED,)), limit=100_000)
    assert len(told) >= lines
    assert set(told) <= {job.id for job in page.jobs}
    assert await check_invariants(database) == []
    await database.close()


# --- a locked file and a full disk -----------------------------------------------------------------------------------

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN " + sys.argv[2])
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.05)


@pytest.fixture
def locker(path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start another program that locks the database until its input ends."""
    started: list[subprocess.Popen[str]] = []

    def start(mode: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", LOCKER, str(path), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


async def test_a_lock_of_another_program_delays_writes_but_no_reads(
    impatient: None, path: Path, locker: Callable[[str], subprocess.Popen[str]]
) -> None:
    database = await Database.open(path)
    settings = SettingRepository(database)
    await settings.put("a", 1)
    program = await asyncio.to_thread(locker, "IMMEDIATE")
    with pytest.raises(StoreBusy, match="Another program has locked"):
        await settings.put("a", 2)
    assert await settings.get("a") == 1
    await asyncio.to_thread(program.communicate, "")
    await settings.put("a", 3)
    assert await settings.get("a") == 3
    await database.close()


async def test_a_file_that_is_locked_for_good_cannot_be_opened(
    impatient: None, path: Path, locker: Callable[[str], subprocess.Popen[str]]
) -> None:
    path.parent.mkdir()
    program = await asyncio.to_thread(locker, "EXCLUSIVE")
    with pytest.raises(StoreBusy, match="Another program has locked"):
        await Database.open(path)
    await asyncio.to_thread(program.communicate, "")
    await (await Database.open(path)).close()


async def fill(database: Database) -> int:
    """Store jobs until the store is full and return how many it took."""
    jobs = JobRepository(database)
    stored = 0

    async def store_without_end() -> None:
        nonlocal stored
        while True:
            await jobs.create(a_job(f"job-{stored}"), run=a_run())
            stored += 1

    with pytest.raises(StoreFull, match="no space left"):
        await store_without_end()
    return stored


async def test_a_database_that_may_not_grow_keeps_what_it_has(database: Database) -> None:
    def limit(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 10}")

    await database.write(limit)
    stored = await fill(database)
    assert stored > 10
    assert len((await JobRepository(database).list(limit=10_000)).jobs) == stored


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True)
    if mounting.returncode != 0:
        pytest.skip(f"a small disk can only be mounted by root: {mounting.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux only")
async def test_a_full_disk_loses_nothing_and_works_again_with_space(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    database = await Database.open(small_disk / "orchestrator.sqlite3")
    stored = await fill(database)
    jobs = JobRepository(database)
    assert len((await jobs.list(limit=10_000)).jobs) == stored
    ballast.unlink()
    await jobs.apply(dispatched("job-0"))
    await jobs.create(a_job("one more"))
    assert await check_invariants(database) == []
    await database.close()
    reopened = await Database.open(small_disk / "orchestrator.sqlite3")
    assert len((await JobRepository(reopened).list(limit=10_000)).jobs) == stored + 1
    await reopened.close()


def _has_space(folder: Path) -> bool:
    return shutil.disk_usage(folder).free > 0


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux only")
async def test_a_disk_with_no_room_at_all_is_told_on_opening(small_disk: Path) -> None:
    with (small_disk / "ballast").open("wb", buffering=0) as ballast:
        written = sum(ballast.write(bytes(size)) or 0 for size in (2_000_000, 4096) if _has_space(small_disk))
    assert written > 0
    with pytest.raises(StoreFull):
        await Database.open(small_disk / "orchestrator.sqlite3")


async def test_the_file_of_this_pack_is_recognised_by_its_header(path: Path) -> None:
    await (await Database.open(path)).close()
    assert path.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big")

from __future__ import annotations

import errno
import hashlib
import io
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from comfy_orchestrator_nodes.domain import FileRef
from comfy_orchestrator_nodes.errors import InvalidRequest, StoreError, StoreFull, ValueLost
from comfy_orchestrator_nodes.store.artifacts import ArtifactStore
from tests.unit.store.samples import NOW, Clock, a_file

posix_only = pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes and no limit on file sizes")


def stored_files(store: ArtifactStore) -> set[str]:
    return {file.name for file in store.root.glob("??/*")}


def unfinished_files(store: ArtifactStore) -> list[str]:
    return [file.name for file in (store.root / "tmp").iterdir()]


def put(store: ArtifactStore, letter: str, size_bytes: int = 100) -> FileRef:
    return store.put(letter.encode() * size_bytes, "image/png")


def reopened(store: ArtifactStore, clock: Clock, booted_at: float = 0.0, limit_bytes: int = 1000) -> ArtifactStore:
    return ArtifactStore(store.root, limit_bytes=limit_bytes, clock=clock, booted_at=booted_at)


# --- storing and reading ---------------------------------------------------------------------------------------------


def test_a_file_is_named_by_the_hash_of_its_content(artifacts: ArtifactStore) -> None:
    with artifacts.writer("image/png") as writer:
        writer.write(b"hello ")
        writer.write(memoryview(b"world"))
        ref = writer.publish()
    assert ref == FileRef(hashlib.sha256(b"hello world").hexdigest(), 11, "image/png")
    assert artifacts.path(ref) == artifacts.root / ref.sha256[:2] / ref.sha256
    with artifacts.open(ref) as file:
        assert file.read() == b"hello world"
    assert artifacts.has(ref)
    assert artifacts.find(ref.sha256) == 11


def test_large_parts_are_hashed_while_the_next_one_is_received(tmp_path: Path) -> None:
    artifacts = ArtifactStore(tmp_path / "large", limit_bytes=100 << 20, clock=Clock())
    memory = [bytearray(1 << 20), bytearray(1 << 20)]
    content = b""
    with artifacts.writer("image/png") as writer:
        for number in range(9):
            part = memory[number % 2]
            part[:] = bytes([number]) * len(part)
            content += part
            writer.append(memoryview(part))
        writer.settle()
        memory[0][:] = bytes(len(memory[0]))
        writer.write(b"a small one")
        ref = writer.publish()
    assert ref.sha256 == hashlib.sha256(content + b"a small one").hexdigest()
    assert artifacts.path(ref).read_bytes() == content + b"a small one"


def test_what_is_not_published_leaves_nothing(artifacts: ArtifactStore) -> None:
    def break_off() -> None:
        with artifacts.writer("image/png") as writer:
            writer.write(b"half of ")
            raise RuntimeError("broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        break_off()
    assert unfinished_files(artifacts) == []
    assert stored_files(artifacts) == set()


def test_a_published_file_is_not_written_to_any_more(artifacts: ArtifactStore) -> None:
    with artifacts.writer("image/png") as writer:
        writer.write(b"done")
        writer.publish()
        with pytest.raises(ValueError, match="published or discarded"):
            writer.write(b"more")
        with pytest.raises(ValueError, match="published or discarded"):
            writer.publish()


def test_equal_content_is_stored_once(artifacts: ArtifactStore) -> None:
    first, second = put(artifacts, "a"), artifacts.put_file(io.BytesIO(b"a" * 100), "image/webp")
    assert first.sha256 == second.sha256
    assert second.media_type == "image/webp"
    assert artifacts.usage().total_bytes == 100
    assert unfinished_files(artifacts) == []


def test_an_empty_file_is_a_file(artifacts: ArtifactStore) -> None:
    ref = artifacts.put(b"", "text/plain")
    with artifacts.open(ref) as file:
        assert file.read() == b""


def test_an_encoder_may_go_back_and_correct_what_it_wrote(artifacts: ArtifactStore) -> None:
    with artifacts.writer("video/mp4") as writer:
        writer.write(b"????body")
        assert writer.tell() == 8
        writer.seek(0)
        writer.write(b"HEAD")
        writer.seek(0, os.SEEK_END)
        writer.write(b"!")
        ref = writer.publish()
    assert ref == FileRef(hashlib.sha256(b"HEADbody!").hexdigest(), 9, "video/mp4")
    artifacts.verify(ref)


def test_an_encoder_may_leave_a_hole(artifacts: ArtifactStore) -> None:
    with artifacts.writer("image/tiff") as writer:
        writer.seek(3)
        writer.write(b"x")
        ref = writer.publish()
    assert ref == FileRef(hashlib.sha256(b"\0\0\0x").hexdigest(), 4, "image/tiff")


def test_standard_encoders_can_write_into_it(artifacts: ArtifactStore) -> None:
    import zipfile

    with artifacts.writer("application/zip") as writer:
        with zipfile.ZipFile(writer, "w") as archive:
            archive.writestr("a.txt", "content")
        ref = writer.publish()
    with artifacts.open(ref) as file, zipfile.ZipFile(file) as archive:
        assert archive.read("a.txt") == b"content"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 65, "g" * 64, "a" * 64 + "\n"])
def test_a_name_that_is_no_hash_is_refused(artifacts: ArtifactStore, name: str) -> None:
    ref = FileRef(name, 1, "image/png")
    for call in (artifacts.path, artifacts.open, artifacts.has, artifacts.verify):
        with pytest.raises(InvalidRequest, match="not a SHA-256"):
            call(ref)
    with pytest.raises(InvalidRequest, match="not a SHA-256"):
        artifacts.find(name)


@posix_only
def test_only_the_owner_can_read_what_is_stored(artifacts: ArtifactStore) -> None:
    path = artifacts.path(put(artifacts, "a"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert {folder.stat().st_mode & 0o777 for folder in (path.parent, artifacts.root)} == {0o700}


@posix_only
def test_every_folder_that_had_to_be_made_is_private(tmp_path: Path) -> None:
    ArtifactStore(tmp_path / "user" / "store" / "artifacts")
    made = [folder for folder in tmp_path.rglob("*") if folder.is_dir()]
    assert len(made) == 4
    assert {folder.stat().st_mode & 0o777 for folder in made} == {0o700}


# --- damage ----------------------------------------------------------------------------------------------------------


def test_a_value_that_was_never_stored_is_lost(artifacts: ArtifactStore) -> None:
    with pytest.raises(ValueLost, match="not stored here"):
        artifacts.open(a_file())
    assert not artifacts.has(a_file())
    assert artifacts.find("a" * 64) is None


def test_a_file_that_somebody_deleted_is_lost(artifacts: ArtifactStore) -> None:
    ref = put(artifacts, "a")
    artifacts.path(ref).unlink()
    with pytest.raises(ValueLost, match="deleted"):
        artifacts.path(ref)
    assert artifacts.usage().total_bytes == 0


def test_a_truncated_file_is_lost_and_can_be_stored_anew(artifacts: ArtifactStore) -> None:
    ref = put(artifacts, "a")
    os.truncate(artifacts.path(ref), 50)
    with pytest.raises(ValueLost, match="50 bytes are left of 100"):
        artifacts.open(ref)
    assert put(artifacts, "a") == ref
    assert artifacts.has(ref)


def test_changed_content_is_found_by_verifying_and_can_be_stored_anew(artifacts: ArtifactStore) -> None:
    ref = put(artifacts, "a")
    artifacts.path(ref).write_bytes(b"b" * 100)
    with pytest.raises(ValueLost, match="content is damaged"):
        artifacts.verify(ref)
    assert not artifacts.has(ref)
    assert put(artifacts, "a") == ref
    artifacts.verify(ref)


def test_a_reference_with_another_size_does_not_fit_and_deletes_nothing(artifacts: ArtifactStore) -> None:
    ref = put(artifacts, "a")
    with pytest.raises(ValueLost, match="100 bytes are stored where 7 are expected"):
        artifacts.open(FileRef(ref.sha256, 7, "image/png"))
    assert artifacts.has(ref)


# --- restarts --------------------------------------------------------------------------------------------------------


def test_everything_is_there_after_a_restart_in_its_order_of_use(artifacts: ArtifactStore, clock: Clock) -> None:
    refs = [put(artifacts, letter) for letter in "abc"]
    clock.advance(100)
    artifacts.path(refs[0])
    again = reopened(artifacts, clock, limit_bytes=250)
    assert again.usage().total_bytes == 200
    assert again.has(refs[0])


def test_what_was_being_written_is_swept_at_the_start(artifacts: ArtifactStore, clock: Clock) -> None:
    (artifacts.root / "tmp" / "x.part").write_bytes(b"half")
    again = reopened(artifacts, clock)
    assert unfinished_files(again) == []


def test_foreign_files_in_the_folder_are_left_alone(artifacts: ArtifactStore, clock: Clock) -> None:
    (artifacts.root / "aa").mkdir()
    (artifacts.root / "aa" / "notes.txt").write_text("mine")
    (artifacts.root / "bb").write_text("no folder")
    (artifacts.root / "aa" / ("a" * 64)).mkdir()
    again = reopened(artifacts, clock)
    again.clear()
    assert (again.root / "aa" / "notes.txt").read_text() == "mine"
    assert again.usage().files == 0


def test_content_that_a_power_cut_took_is_not_served(artifacts: ArtifactStore, clock: Clock) -> None:
    whole, hollow = put(artifacts, "a"), put(artifacts, "b")
    artifacts.path(hollow).write_bytes(bytes(100))
    os.utime(artifacts.path(hollow), (clock(), clock()))
    clock.advance(1000)
    again = reopened(artifacts, clock, booted_at=clock() - 10)
    assert again.has(whole)
    with pytest.raises(ValueLost, match="content is damaged"):
        again.open(hollow)


def test_a_file_from_before_the_start_of_the_machine_is_hashed_once(artifacts: ArtifactStore, clock: Clock) -> None:
    ref = put(artifacts, "a")
    clock.advance(1000)
    again = reopened(artifacts, clock, booted_at=clock() - 10)
    path = again.path(ref)
    path.write_bytes(b"c" * 100)
    assert again.path(ref) == path
    assert reopened(artifacts, clock, booted_at=clock() - 10).path(ref) == path


def test_a_process_killed_while_writing_leaves_nothing_half_written(tmp_path: Path) -> None:
    import subprocess

    script = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[2])\n"
        "from comfy_orchestrator_nodes.store.artifacts import ArtifactStore\n"
        "store = ArtifactStore(pathlib.Path(sys.argv[1]))\n"
        "store.put(b'kept', 'text/plain')\n"
        "writer = store.writer('image/png'); writer.write(b'x' * 100000)\n"
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    root = tmp_path / "artifacts"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(root), str(Path(__file__).parents[3])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.kill()
    assert list((root / "tmp").iterdir()) != []
    store = ArtifactStore(root)
    assert unfinished_files(store) == []
    assert store.usage().files == 1


# --- the size limit --------------------------------------------------------------------------------------------------


def test_the_longest_unused_goes_first(artifacts: ArtifactStore, clock: Clock) -> None:
    refs = []
    for letter in "abcdefghij":
        refs.append(put(artifacts, letter))
        clock.advance(1)
    artifacts.path(refs[0])
    put(artifacts, "k")
    assert artifacts.has(refs[0])
    assert not artifacts.has(refs[1])
    assert artifacts.usage().total_bytes <= 1000


def test_what_is_leased_stays_and_what_is_released_goes(artifacts: ArtifactStore) -> None:
    refs = [put(artifacts, letter) for letter in "abcdefghij"]
    artifacts.lease("job", refs[:9])
    artifacts.lease("other job", refs[:1])
    put(artifacts, "k")
    assert [artifacts.has(ref) for ref in refs] == [True] * 9 + [False]
    artifacts.release("job")
    artifacts.clear()
    assert [artifacts.has(ref) for ref in refs] == [True] + [False] * 9
    assert artifacts.usage().leased_bytes == 100


def test_a_lease_ends_by_itself_and_is_never_shortened(artifacts: ArtifactStore, clock: Clock) -> None:
    ref = put(artifacts, "a")
    artifacts.lease("job", [ref], seconds=100)
    artifacts.lease("job", [ref], seconds=1)
    clock.advance(99)
    assert artifacts.clear() == 0
    clock.advance(2)
    assert artifacts.clear() == 100


def test_a_file_can_be_leased_from_its_first_moment(artifacts: ArtifactStore) -> None:
    refs = [artifacts.put(letter.encode() * 100, "image/png", owner="job") for letter in "abcdefghij"]
    with pytest.raises(StoreFull, match="jobs under way need 1000"):
        put(artifacts, "k")
    assert all(artifacts.has(ref) for ref in refs)
    assert unfinished_files(artifacts) == []


def test_leasing_what_is_lost_leases_nothing(artifacts: ArtifactStore) -> None:
    ref = put(artifacts, "a")
    with pytest.raises(ValueLost):
        artifacts.lease("job", [ref, a_file()])
    assert artifacts.usage().leased_bytes == 0


def test_a_lease_outlives_storing_the_same_content_again(artifacts: ArtifactStore) -> None:
    ref = put(artifacts, "a")
    artifacts.lease("job", [ref])
    artifacts.path(ref).unlink()
    put(artifacts, "a")
    assert artifacts.clear() == 0


def test_a_file_larger_than_the_limit_evicts_nothing(artifacts: ArtifactStore) -> None:
    ref = put(artifacts, "a")
    with pytest.raises(StoreFull, match="does not fit"):
        put(artifacts, "b", 1001)
    assert artifacts.has(ref)
    assert unfinished_files(artifacts) == []


def test_a_smaller_limit_is_kept_at_once(artifacts: ArtifactStore) -> None:
    refs = [put(artifacts, letter) for letter in "abc"]
    artifacts.set_limit(150)
    assert [artifacts.has(ref) for ref in refs] == [False, False, True]


def test_a_reader_keeps_its_file_while_it_is_evicted(artifacts: ArtifactStore) -> None:
    ref = put(artifacts, "a")
    with artifacts.open(ref) as file:
        artifacts.clear()
        assert file.read() == b"a" * 100


# --- a full disk -----------------------------------------------------------------------------------------------------


@posix_only
def test_a_full_disk_leaves_nothing_half_written(artifacts: ArtifactStore) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ref = artifacts.put(b"kept", "text/plain", owner="job")
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(StoreFull, match="no space left"):
            put(artifacts, "a", 900)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert unfinished_files(artifacts) == []
    assert stored_files(artifacts) == {ref.sha256}
    assert artifacts.has(put(artifacts, "a", 900))


def test_a_full_disk_is_helped_by_evicting_what_nobody_needs(
    artifacts: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = put(artifacts, "a")
    real_write = os.write

    def write(descriptor: int, data: memoryview) -> int:
        if artifacts.find(old.sha256) is not None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, data)

    monkeypatch.setattr("comfy_orchestrator_nodes.store.sink.os.write", write)
    new = put(artifacts, "b")
    monkeypatch.undo()
    assert artifacts.has(new)
    assert not artifacts.has(old)


def test_a_failed_disk_is_told_as_what_it_is(artifacts: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("comfy_orchestrator_nodes.store.sink.os.write", write)
    with pytest.raises(StoreError, match="Input/output error") as caught:
        put(artifacts, "a")
    assert not isinstance(caught.value, StoreFull)
    assert unfinished_files(artifacts) == []


def test_a_file_that_cannot_be_replaced_because_it_is_read_is_reused(
    artifacts: ArtifactStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = put(artifacts, "a")
    clock.advance(1000)
    again = reopened(artifacts, clock, booted_at=clock())

    def replace(self: Path, target: Path) -> Path:
        raise PermissionError(errno.EACCES, "The process cannot access the file")

    monkeypatch.setattr(Path, "replace", replace)
    assert put(again, "a") == ref
    with pytest.raises(StoreError, match="cannot be written"):
        put(again, "b")
    assert unfinished_files(again) == []
    assert stored_files(again) == {ref.sha256}


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StoreError, match="cannot be used"):
        ArtifactStore(tmp_path / "taken")


# --- threads and random lives ----------------------------------------------------------------------------------------


def test_many_threads_write_read_and_evict_at_once(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "artifacts", limit_bytes=5000)
    start = threading.Barrier(8)

    def work(thread: int) -> int:
        start.wait(10)
        served = 0
        for turn in range(60):
            content = f"{(thread + turn) % 20}".encode() * 200
            ref = store.put(content, "text/plain", owner=f"thread {thread}")
            with store.open(ref) as file:
                served += file.read() == content
            store.release(f"thread {thread}")
        return served

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [60] * 8
    assert store.usage().total_bytes == sum(file.stat().st_size for file in store.root.glob("??/*"))
    assert store.usage().total_bytes <= 5000
    assert store.usage().leased_bytes == 0
    assert unfinished_files(store) == []


class ArtifactLife(RuleBasedStateMachine):
    """Whatever is done, the sizes agree with the folder, the limit holds, and what is leased can be read."""

    letters = st.sampled_from("abcdef")
    owners = st.sampled_from(["one", "two"])

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock(NOW)
        self.store = ArtifactStore(Path(self.folder.name) / "a", limit_bytes=400, clock=self.clock, booted_at=0.0)
        self.leases: dict[tuple[str, str], float] = {}
        self.refs: dict[str, FileRef] = {}

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(letter=letters, owner=st.none() | owners)
    def put(self, letter: str, owner: str | None) -> None:
        try:
            self.refs[letter] = self.store.put(letter.encode() * (ord(letter) - 96) * 30, "image/png", owner=owner)
        except StoreFull:
            return
        if owner is not None:
            self.leases[letter, owner] = max(self.clock() + 3600, self.leases.get((letter, owner), 0.0))

    @rule(letter=letters, owner=owners, seconds=st.integers(1, 5000))
    def lease(self, letter: str, owner: str, seconds: int) -> None:
        if letter not in self.refs or not self.store.has(self.refs[letter]):
            return
        self.store.lease(owner, [self.refs[letter]], seconds=seconds)
        self.leases[letter, owner] = max(self.clock() + seconds, self.leases.get((letter, owner), 0.0))

    @rule(owner=owners)
    def release(self, owner: str) -> None:
        self.store.release(owner)
        self.leases = {key: until for key, until in self.leases.items() if key[1] != owner}

    @rule(seconds=st.integers(1, 3000))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def clear(self) -> None:
        self.store.clear()

    @rule(rebooted=st.booleans())
    def restart(self, rebooted: bool) -> None:
        booted_at = self.clock() if rebooted else 0.0
        self.store = ArtifactStore(self.store.root, limit_bytes=400, clock=self.clock, booted_at=booted_at)
        self.leases.clear()

    @invariant()
    def the_folder_and_the_sizes_agree(self) -> None:
        found = [file.stat().st_size for file in self.store.root.glob("??/*")]
        usage = self.store.usage()
        assert (usage.files, usage.total_bytes) == (len(found), sum(found))
        assert usage.total_bytes <= 400

    @invariant()
    def what_is_leased_is_there(self) -> None:
        for (letter, _), until in self.leases.items():
            if until > self.clock():
                assert self.store.find(self.refs[letter].sha256) is not None


ArtifactLife.TestCase.settings = settings(deadline=None, max_examples=30, stateful_step_count=25)
TestArtifactLife = ArtifactLife.TestCase

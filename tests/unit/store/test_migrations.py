from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from comfy_orchestrator_nodes.domain import Knobs
from comfy_orchestrator_nodes.errors import StoreDamaged
from comfy_orchestrator_nodes.store.backends import BackendRepository
from comfy_orchestrator_nodes.store.database import Database
from comfy_orchestrator_nodes.store.definitions import DefinitionRepository
from comfy_orchestrator_nodes.store.events import EventRepository
from comfy_orchestrator_nodes.store.invariants import check_invariants
from comfy_orchestrator_nodes.store.jobs import JobRepository
from comfy_orchestrator_nodes.store.schema import (
    SCHEMA_FILE,
    Migration,
    database_version,
    load_migrations,
    upgrade,
)
from tests.unit.store.samples import a_backend, a_definition, a_job, a_run, an_attempt, dispatched

MIGRATIONS = load_migrations()
SCHEMA = SCHEMA_FILE.read_text("utf-8")
A_RUN = "INSERT INTO run (id, status, title, created_at) VALUES ('run', 'running', '', 0)"
A_JOB = (
    "INSERT INTO job (id, run_id, key, definition_id, status, spec, item_index, outputs, created_at) "
    "VALUES ('job', 'run', '', '', '', '', 0, '', 0)"
)
VERSIONS = [migration.version for migration in MIGRATIONS]


@contextmanager
def connected(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()


def schema_of(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    """Return each object's SQL without comments and with as few spaces as possible."""
    rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master").fetchall()
    plain = {(kind, name): " ".join(re.sub(r"--[^\n]*", "", sql).split()) for kind, name, sql in rows}
    return {key: re.sub(r" ?([(),]) ?", r"\1", sql) for key, sql in plain.items()}


def make_version(path: Path, version: int) -> None:
    """Make a database exactly as the pack of that version left it, by its migrations."""
    with connected(path) as connection:
        first, *others = MIGRATIONS[:version]
        upgrade(connection, path, (first,), first.sql)
        for count in range(2, len(others) + 2):
            upgrade(connection, path, MIGRATIONS[:count], SCHEMA)


def test_migrations_are_numbered_without_gaps() -> None:
    assert list(range(1, len(MIGRATIONS) + 1)) == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_every_older_version_becomes_exactly_the_schema(path: Path, version: int) -> None:
    make_version(path, version)
    with connected(path) as connection:
        assert database_version(connection, path) == version
        upgrade(connection, path, MIGRATIONS, SCHEMA)
        migrated = schema_of(connection)
    with connected(path.with_name("new.sqlite3")) as connection:
        upgrade(connection, path, MIGRATIONS, SCHEMA)
        assert migrated == schema_of(connection)
        assert database_version(connection, path) == VERSIONS[-1]


async def test_what_the_first_version_stored_is_still_there(path: Path) -> None:
    make_version(path, 1)
    with connected(path) as connection:
        # Written by hand and not by today's repositories, which may store more than version 1 had.
        connection.executescript(
            """
            INSERT INTO backend VALUES ('attic', 'Attic', 'https://attic.lan:8188/comfy', 1, '["fast","24 GB"]',
              'under the roof', '{"verify":false,"ca_file":"/etc/ca.pem"}',
              '{"bearer_token":"token","username":"user","password":"secret","headers":{"X-Key":"abc"}}', 1700000000);
            INSERT INTO definition VALUES ('blue', 'Blue', 'a blue image', '["test","image"]', 1);
            INSERT INTO definition_version VALUES ('blue', 1, 1700000000,
              '[{"name":"width","type":"INT","node_id":"1","input_name":"width","default":64,"minimum":1}]',
              '[{"name":"image","type":"IMAGE","node_id":"1","index":0}]',
              '{"1":{"class_type":"EmptyImage","inputs":{"width":64,"color":["2",0]}}}', '{"nodes":[{"id":1}]}');
            INSERT INTO run VALUES (1, 'run', 'running', 'A run', NULL, 1700000000, NULL);
            """
        )
        connection.execute(
            "INSERT INTO job VALUES (1, 'job', 'run', ?, 'blue', 'queued', ?, '12', 0, '{}', NULL, 1700000000, NULL)",
            (
                a_job().key,
                '{"definition_id":"blue","definition_version":1,"definition_hash":"' + "f" * 64 + '",'
                '"values":{"width":{"type":"INT","data":64,"files":[]},"image":{"type":"IMAGE","data":null,"files":'
                '[{"sha256":"' + "a" * 64 + '","size_bytes":4,"media_type":"image/png"}]}},"outputs":["image"]}',
            ),
        )
        connection.execute("INSERT INTO event VALUES (1, 'job', 1, 1700000000, 'created', NULL, '{}')")
    database = await Database.open(path)
    jobs = JobRepository(database)
    assert await BackendRepository(database).get("attic") == a_backend(draining=False)
    assert await DefinitionRepository(database).get("blue") == a_definition(knobs=Knobs())
    assert await jobs.get("job") == a_job(owner=None, queued_at=None)
    await jobs.apply(dispatched(attempts=(an_attempt(),)))
    await jobs.create(a_job("new", run_id="new"), run=a_run(id="new"))
    assert [event.sequence for event in await EventRepository(database).for_job("job")] == [1, 2]
    assert await check_invariants(database) == []
    await database.close()


def with_a_next(sql: str) -> tuple[Migration, ...]:
    return (*MIGRATIONS, Migration(len(MIGRATIONS) + 1, sql))


def test_a_step_that_fails_leaves_the_version_before(path: Path) -> None:
    make_version(path, VERSIONS[-1])
    with connected(path) as connection:
        before = schema_of(connection)
        with pytest.raises(sqlite3.OperationalError, match="nonsense"):
            upgrade(connection, path, with_a_next("CREATE TABLE half (way TEXT); SELECT nonsense;"), SCHEMA)
        assert schema_of(connection) == before
        assert database_version(connection, path) == VERSIONS[-1]
        assert not connection.in_transaction


def test_a_step_may_rebuild_a_table_that_others_refer_to(path: Path) -> None:
    make_version(path, VERSIONS[-1])
    rebuild = """
        CREATE TABLE new_run (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, colour TEXT);
        INSERT INTO new_run (number, id) SELECT number, id FROM run;
        DROP TABLE run;
        ALTER TABLE new_run RENAME TO run;
    """
    with connected(path) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(A_RUN)
        connection.execute(A_JOB)
        upgrade(connection, path, with_a_next(rebuild), SCHEMA)
        assert connection.execute("SELECT id, colour FROM run").fetchall() == [("run", None)]
        assert connection.execute("SELECT id FROM job").fetchall() == [("job",)]
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_a_step_that_would_orphan_rows_is_undone(path: Path) -> None:
    make_version(path, VERSIONS[-1])
    with connected(path) as connection:
        connection.execute(A_RUN)
        connection.execute(A_JOB)
        with pytest.raises(StoreDamaged, match="a row of job refers to one of run that is gone"):
            upgrade(connection, path, with_a_next("DELETE FROM run;"), SCHEMA)
        assert connection.execute("SELECT id FROM run").fetchall() == [("run",)]


@pytest.mark.parametrize("names", [[], ["0002_late.sql"], ["0001_a.sql", "0003_gap.sql"], ["0001_a.sql", "0001_b.sql"]])
def test_an_incomplete_installation_is_told(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(ValueError, match="reinstall"):
        load_migrations(tmp_path)

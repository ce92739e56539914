"""Looking after the library database: figures, rules of ours, space given back, and music that was moved."""

from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from music_reclass.domain import FeatureKind, Track, TrackTags
from music_reclass.errors import DatabaseError, NothingToDo
from music_reclass.features import maintenance as module
from music_reclass.features.database import Database, writing_lease
from music_reclass.features.library import Library
from music_reclass.features.maintenance import (
    findings,
    info,
    look_for_files,
    open_changes,
    plan_relocation,
    relocate,
    vacuum,
)

KIND = FeatureKind("fma518", "1", 3, "mid30")


def track(path: str | bytes, size: int = 1) -> Track:
    name = os.fsdecode(path)
    return Track(name, size, 1, os.fsencode(name), 9.0, TrackTags(), (), np.ones(3, np.float32))


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "library.sqlite3")
    yield database
    database.close()


def paths(database: Database) -> list[bytes]:
    return [path for (path,) in database.connection.execute("SELECT path FROM track ORDER BY path")]


def add_change(database: Database, path: str, state: str = "written", **more: object) -> None:
    sql = database.connection
    sql.execute("INSERT OR IGNORE INTO run (id, command, arguments, version, started) VALUES (1, 'scan', '{}', '1', 0)")
    values = {
        "run_id": 1, "path": os.fsencode(path), "format": "mp3", "raw_before": "[]", "state": state, "payload": b"p",
        "sha_before": b"s", "sha_after": b"s", "size_after": 1, "mtime_before": 1, "planned": 0.0, "changed": 0.0,
        **more,
    }  # fmt: skip
    marks = ", ".join(f":{name}" for name in values)
    sql.execute(f"INSERT INTO change ({', '.join(values)}) VALUES ({marks})", values)  # noqa: S608


def moved(database: Database, old: str, new: str) -> None:
    relocate(database, plan_relocation(database, old, new))


def test_figures_name_rows_and_bytes_by_table_and_kind(library: Database, tmp_path: Path) -> None:
    Library(library).save([track("/m/a"), track("/m/b")], KIND)
    add_change(library, "/m/a")
    with writing_lease(tmp_path / "library.sqlite3", "scan"):
        found = info(tmp_path / "library.sqlite3", library)
    assert found["tables"]["track"]["rows"] == found["tables"]["vector"]["rows"] == 2
    assert found["tables"]["change"]["rows"] == 1
    assert found["kinds"] == {KIND.key: {"vectors": 2, "bytes": 24}}
    assert found["log_bytes"] > 0
    assert found["filesystem"]["free_bytes"] > 0
    assert "reclass scan (process" in found["holder"]
    assert info(tmp_path / "library.sqlite3", library)["holder"] is None
    json.dumps(found)


def test_a_library_as_we_write_it_breaks_no_rule(library: Database) -> None:
    Library(library).save([track("/m/a")], KIND)
    add_change(library, "/m/a")
    assert findings(library) == []
    assert open_changes(library) == 0


BROKEN = {
    "vectors whose length": "INSERT INTO vector VALUES (1, 'fma518/1/mid30', x'00'), (2, 'fma518/1/mid30', x'0011')",
    "votes with a probability": "INSERT INTO vote VALUES (1, 'fma518', 1, '{\"Rock\": 1.5}')",
    "failed and have a decision": "INSERT INTO failure VALUES (1, 'failed', 'io', '', 0);"
    "INSERT INTO decision VALUES (1, '', 'likely', '', '[]', 0.5, '', 0)",
    "does not say what was written": "UPDATE change SET sha_after = NULL",
    "undone changes": "INSERT INTO change (run_id, undoes, path, format, raw_before, state, payload, sha_before,"
    " sha_after, size_after, mtime_before, planned, changed)"
    " SELECT 1, id, path, format, '[]', 'written', payload, sha_before, sha_after, 1, 1, 0, 0 FROM change",
    "not absolute": "UPDATE track SET path = CAST('m/x' AS BLOB) WHERE id = 1",
    "rows of vote that belong": "INSERT INTO vote VALUES (99, 'fma518', 1, '{}')",
    "no change_path": "DROP INDEX change_path",
}


@pytest.mark.parametrize("finding", BROKEN)
def test_every_broken_rule_is_found_with_a_cure(finding: str, library: Database) -> None:
    Library(library).save([track("/m/a"), track("/m/b")], KIND)
    add_change(library, "/m/a")
    sql = library.connection
    sql.execute("DELETE FROM vector")
    sql.execute("INSERT INTO bundle (id, name, digest, manifest, seen) VALUES (1, 'a', 'b', '{}', 0)")
    sql.execute("PRAGMA foreign_keys = OFF")
    for statement in BROKEN[finding].split(";"):
        sql.execute(statement)
    (found,) = findings(library)
    assert finding in found["finding"]
    assert found["count"] == 1
    assert "reclass" in found["cure"] or "--rescan" in found["cure"]


def test_changes_of_an_interrupted_run_are_counted_and_no_fault(library: Database) -> None:
    add_change(library, "/m/a", "planned", sha_after=None, size_after=None)
    assert findings(library) == []
    assert open_changes(library) == 1


def fill(database: Database, rows: int = 200) -> None:
    with database.transaction() as sql:
        sql.executemany(
            "INSERT INTO exit_audit (at, result) VALUES (?, ?)", ((n, f'"{"x" * 9000}"') for n in range(rows))
        )


def test_unused_space_is_given_back_and_what_is_kept_is_kept(library: Database, tmp_path: Path) -> None:
    Library(library).save([track("/m/a")], KIND)
    fill(library)
    library.connection.execute("DELETE FROM exit_audit WHERE at > 3")
    library.fold_log()
    before, after = vacuum(library, lambda: False)
    assert after < before / 4
    assert after == (tmp_path / "library.sqlite3").stat().st_size
    assert library.connection.execute("SELECT count(*) FROM exit_audit").fetchone() == (4,)
    assert library.damage() == ""
    assert paths(library) == [b"/m/a"]


def test_without_room_for_it_nothing_is_begun(library: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(library)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(0, 0, module.SPARE + 1000))
    with pytest.raises(DatabaseError, match=r"takes \d+ MB for a while, and .* has 67 MB free; free some space"):
        vacuum(library, lambda: False)


def test_a_stopped_vacuum_leaves_the_database_as_it_was(library: Database, tmp_path: Path) -> None:
    fill(library, 2000)
    library.fold_log()
    before = (tmp_path / "library.sqlite3").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        vacuum(library, lambda: True)
    library.fold_log()
    assert (tmp_path / "library.sqlite3").read_bytes() == before
    assert vacuum(library, lambda: False)[1] > 0


def test_only_whole_names_of_folders_count(library: Database) -> None:
    Library(library).save([track("/m/a"), track("/music/a"), track("/m"), track("/m2"), track("/m/b/c")], KIND)
    moved(library, "/m", "/n/o")
    assert paths(library) == [b"/m2", b"/music/a", b"/n/o", b"/n/o/a", b"/n/o/b/c"]


def test_names_that_are_no_utf8_are_moved_byte_for_byte(library: Database) -> None:
    Library(library).save([track(b"/m/\xff\xfe/caf\xe9.mp3")], KIND)
    add_change(library, os.fsdecode(b"/m/\xff\xfe/caf\xe9.mp3"), temporary=b"/m/\xff\xfe/.t")
    moved(library, os.fsdecode(b"/m/\xff\xfe"), os.fsdecode(b"/n\xe9"))
    assert paths(library) == [b"/n\xe9/caf\xe9.mp3"]
    row = library.connection.execute("SELECT path, temporary FROM change").fetchone()
    assert row == (b"/n\xe9/caf\xe9.mp3", b"/n\xe9/.t")


@pytest.mark.parametrize(("old", "new"), [("/", "/n"), ("/m", "/"), ("/m", "/m/m"), ("/m/m", "/m"), ("/m/", "/n/")])
def test_roots_and_folders_within_each_other_are_moved_and_back(old: str, new: str, library: Database) -> None:
    before = [b"/m/m/a", b"/m/m/m/b", b"/m/m/m/a"]
    Library(library).save([track(path) for path in before], KIND)
    start, root = os.fsencode(old).rstrip(b"/"), os.fsencode(new).rstrip(b"/")
    moved(library, old, new)
    assert paths(library) == sorted(root + path[len(start) :] for path in before)
    moved(library, new, old)
    assert paths(library) == sorted(before)


def test_two_tracks_never_get_one_path(library: Database) -> None:
    Library(library).save([track("/m/a"), track("/m/b"), track("/n/b")], KIND)
    with pytest.raises(DatabaseError, match=r"1 of the files are known below /n as well, /n/b among them"):
        plan_relocation(library, "/m", "/n")
    assert paths(library) == [b"/m/a", b"/m/b", b"/n/b"]


def test_where_the_library_knows_nothing_there_is_nothing_to_move(library: Database) -> None:
    Library(library).save([track("/m/a")], KIND)
    with pytest.raises(NothingToDo, match="knows no file at or below /x"):
        plan_relocation(library, "/x", "/y")


def test_files_are_counted_by_whether_they_are_there_and_of_the_same_size(library: Database, tmp_path: Path) -> None:
    (tmp_path / "same").write_bytes(b"abc")
    (tmp_path / "other").write_bytes(b"abcd")
    Library(library).save([track(f"/m/{name}", 3) for name in ("same", "other", "gone")], KIND)
    plan, seen = plan_relocation(library, "/m", str(tmp_path)), []
    look_for_files(library, plan, lambda: seen.append(1))
    assert (plan.present, plan.other_size, plan.absent, len(seen)) == (1, 1, 1, 3)
    assert plan.examples[0] == ("/m/gone", str(tmp_path / "gone"))


def test_a_move_that_breaks_off_has_moved_nothing(library: Database) -> None:
    Library(library).save([track("/m/a")], KIND)
    add_change(library, "/m/a")
    plan = plan_relocation(library, "/m", "/n")
    library.connection.execute(
        "CREATE TEMP TRIGGER full BEFORE UPDATE ON main.change BEGIN SELECT RAISE(ABORT, 'full'); END"
    )
    with pytest.raises(Exception, match="full"):
        relocate(library, plan)
    assert paths(library) == [b"/m/a"]


def test_arguments_of_runs_and_maps_of_servers_follow(library: Database) -> None:
    Library(library).save([track("/m/jazz/a")], KIND)
    add_change(library, "/m/jazz/a")
    sql = library.connection
    sql.execute("UPDATE run SET arguments = ?", (json.dumps({"paths": ["/m/jazz", "/m/jazzy", "jazz"], "limit": 3}),))
    sql.executemany(
        "INSERT INTO plex_server (id, machine, name, mapping) VALUES (?, ?, '', ?)",
        [(1, "a", json.dumps({"/srv/jazz": "/m/jazz"})), (2, "b", json.dumps({"D:\\Music": "/m"})), (3, "c", "broken")],
    )
    moved(library, "/m/jazz", "/n")
    assert json.loads(sql.execute("SELECT arguments FROM run").fetchone()[0]) == {
        "paths": ["/n", "/m/jazzy", "jazz"], "limit": 3,
    }  # fmt: skip
    maps = [text for (text,) in sql.execute("SELECT mapping FROM plex_server ORDER BY id")]
    assert json.loads(maps[0]) == {"/srv/jazz": "/n"}
    assert json.loads(maps[1]) == {"D:\\Music": "/m", "D:\\Music\\jazz": "/n"}
    assert maps[2] == "broken"


def test_every_column_that_holds_a_path_is_moved(library: Database) -> None:
    """A new column of paths must be taken along: BLOB columns are named here by what they hold."""
    digests = {("track", "digest"), ("change", "payload"), ("change", "sha_before"), ("change", "sha_after"),
               ("change", "patch"), ("vector", "data"), ("peaks", "data"), ("projection", "data")}  # fmt: skip
    moved_along = {("track", "path"), ("change", "path"), ("change", "temporary")}
    sql = library.connection
    tables = [name for (name,) in sql.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    blobs = {
        (table, column)
        for table in tables
        for column, kind in sql.execute("SELECT name, type FROM pragma_table_info(?)", (table,))
        if kind == "BLOB"
    }
    assert blobs - digests == moved_along


names = st.lists(st.sampled_from([b"m", b"n", b"m2", b"\xff", b"a b"]), min_size=1, max_size=4)


@given(
    files=st.lists(names, min_size=1, max_size=8, unique_by=tuple),
    old=st.lists(st.sampled_from([b"m", b"n"]), max_size=2),
    new=st.lists(st.sampled_from([b"m", b"n", b"\xff"]), max_size=2),
)
def test_any_move_is_by_components_and_can_be_taken_back(
    files: list[list[bytes]], old: list[bytes], new: list[bytes]
) -> None:
    assume(new or old not in files)  # a file cannot be the root
    library = Database(":memory:")
    try:
        before = sorted(b"/" + b"/".join(parts) for parts in files)
        Library(library).save([track(path) for path in before], KIND)
        expected = [
            b"/" + b"/".join([*new, *parts[len(old) :]]) if parts[: len(old)] == old else b"/" + b"/".join(parts)
            for parts in files
        ]
        places = [os.fsdecode(b"/" + b"/".join(parts)) for parts in (old, new)]
        if len(set(expected)) < len(files):
            with pytest.raises((DatabaseError, NothingToDo)):
                moved(library, *places)
            assert paths(library) == before
        elif any(parts[: len(old)] == old for parts in files):
            moved(library, *places)
            assert paths(library) == sorted(expected)
            if not any(parts[: len(new)] == new and parts[: len(old)] != old for parts in files):
                moved(library, *reversed(places))
                assert paths(library) == before
    finally:
        library.close()

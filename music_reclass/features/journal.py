"""The journal: what was going to be written, what was, and the bytes that undo it."""

from __future__ import annotations

import base64
import binascii
import json
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import music_reclass
from music_reclass.features.database import Database, ranges_below

PLANNED, STAGED, WRITTEN, UNDONE, ABANDONED = "planned", "staged", "written", "undone", "abandoned"

Genres = tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class StyleChange:
    """What is done to the style of a file, as `Intention` says it of the genre; `alone`: the genre stays as it is."""

    before: Genres
    after: Genres
    raw_before: tuple[tuple[str, bytes], ...]
    alone: bool


@dataclass(frozen=True, slots=True)
class Intention:
    """What is going to be done to one file: all that is known before it is touched.

    `genres` None means an absent field, () an empty one. `raw_before` holds the field's very bytes by slot.
    `payload` and `sha_before` are b"" until the file has been copied, which is when it is read.
    """

    path: str
    format: str
    before: Genres
    after: Genres
    raw_before: tuple[tuple[str, bytes], ...]
    temporary: str
    payload: bytes
    sha_before: bytes
    mtime_before: int
    undoes: int | None = None
    style: StyleChange | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the journal. What is known only once the copy is finished is None before that."""

    id: int
    run: int
    state: str
    intention: Intention
    sha_after: bytes | None
    size_after: int | None
    mtime_after: int | None
    patch: bytes | None
    note: str


@dataclass(frozen=True, slots=True)
class DamagedChange:
    """A row that cannot be read; it harms no other."""

    id: int
    path: str
    why: str


@dataclass(frozen=True, slots=True)
class Run:
    """One command that wrote: when, its arguments, and how its changes stand now."""

    id: int
    command: str
    arguments: dict[str, Any]
    version: str
    started: float
    finished: float | None
    summary: dict[str, Any] | None
    written: int
    undone: int


class Journal:
    """Statements and questions about changes. Every statement is on the disk when its call returns.

    Give it a `Database` opened with `durable=True`.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._sql = database.connection

    def begin_run(self, command: str, arguments: Mapping[str, object]) -> int:
        """The number of a new run."""
        with self.database.transaction():
            cursor = self._sql.execute(
                "INSERT INTO run (command, arguments, version, started) VALUES (?, ?, ?, ?)",
                (command, json.dumps(dict(arguments), default=str), music_reclass.__version__, time.time()),
            )
        return int(cursor.lastrowid or 0)

    def finish_run(self, run: int, summary: Mapping[str, object]) -> None:
        """The run has ended by itself."""
        with self.database.transaction():
            self._sql.execute(
                "UPDATE run SET finished = ?, summary = ? WHERE id = ?", (time.time(), json.dumps(dict(summary)), run)
            )

    def plan(self, run: int, intention: Intention) -> int:
        """Write an intention down; the number of the change."""
        now = time.time()
        values = {
            "run_id": run, "undoes": intention.undoes, "path": os.fsencode(intention.path),
            "format": intention.format, "before": _packed(intention.before), "after": _packed(intention.after),
            "raw_before": json.dumps(_texts(intention.raw_before)), "style": _packed_style(intention.style),
            "state": PLANNED, "temporary": os.fsencode(intention.temporary), "payload": intention.payload,
            "sha_before": intention.sha_before, "mtime_before": intention.mtime_before, "planned": now, "changed": now,
        }  # fmt: skip
        columns, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        with self.database.transaction():
            cursor = self._sql.execute(f"INSERT INTO change ({columns}) VALUES ({marks})", values)  # noqa: S608
        return int(cursor.lastrowid or 0)

    def stage(
        self, change: int, *, payload: bytes, sha_before: bytes, sha_after: bytes, size_after: int, patch: bytes | None
    ) -> None:
        """The finished copy lies verified beside the file; `patch` turns it back into what the file is now."""
        self._settle(
            change, STAGED, payload=payload, sha_before=sha_before, sha_after=sha_after, size_after=size_after,
            patch=patch,
        )  # fmt: skip

    def confirm(self, change: int, mtime_after: int | None, note: str = "") -> None:
        """The copy has taken the file's place; the change that it undoes, if any, is `undone` with that."""
        with self.database.transaction():
            self._update(change, WRITTEN, mtime_after=mtime_after, temporary=None, note=note)
            row = self._sql.execute("SELECT undoes FROM change WHERE id = ?", (change,)).fetchone()
            if row is not None and row[0] is not None:
                self._update(row[0], UNDONE)

    def abandon(self, change: int, note: str) -> None:
        """The attempt ended without touching the file."""
        self._settle(change, ABANDONED, temporary=None, patch=None, note=note)

    def mark_undone(self, change: int, note: str) -> None:
        """The file is as it was before the change, though not by our doing."""
        self._settle(change, UNDONE, note=note)

    def _settle(self, change: int, state: str, **values: object) -> None:
        with self.database.transaction():
            self._update(change, state, **values)

    def _update(self, change: int, state: str, **values: object) -> None:
        named = {"state": state, "changed": time.time(), **values}
        assignments = ", ".join(f"{name} = :{name}" for name in named)
        self._sql.execute(f"UPDATE change SET {assignments} WHERE id = :id", {**named, "id": change})  # noqa: S608

    def open_changes(self) -> Iterator[Change | DamagedChange]:
        """What an interrupted run has left half done, oldest first."""
        rows = self._sql.execute("SELECT id FROM change WHERE state IN ('planned', 'staged') ORDER BY id").fetchall()
        return (self.change(row[0]) for row in rows)

    def changes_of(
        self, run: int, *, newest_first: bool = True, paths: Collection[str] | None = None
    ) -> Iterator[Change | DamagedChange]:
        """The changes of a run, one row in memory at a time; they may be settled meanwhile. With `paths` only those of
        these files that stand written, without a look at the rest of the run."""
        if paths is None:
            rows = self._sql.execute("SELECT id FROM change WHERE run_id = ?", (run,)).fetchall()
        else:
            rows = [
                row
                for path in paths
                for row in self._sql.execute(
                    "SELECT id FROM change WHERE path = ? AND +run_id = ? AND state = 'written' AND undoes IS NULL",
                    (os.fsencode(path), run),
                )
            ]
        return (self.change(number) for (number,) in sorted(rows, reverse=newest_first))

    def change(self, number: int) -> Change | DamagedChange:
        """One row, DamagedChange where it makes no sense; KeyError where there is none."""
        row = self._sql.execute(
            "SELECT path, run_id, state, format, before, after, raw_before, temporary, payload, sha_before,"
            " mtime_before, undoes, sha_after, size_after, mtime_after, patch, note, style FROM change WHERE id = ?",
            (number,),
        ).fetchone()
        if row is None:
            raise KeyError(number)
        path = os.fsdecode(row[0])
        try:
            intention = Intention(
                path, row[3], _unpacked(row[4]), _unpacked(row[5]), _raw(row[6]),
                os.fsdecode(row[7] or b""), row[8], row[9], row[10], row[11], _style(row[17]),
            )  # fmt: skip
        except (ValueError, TypeError, KeyError, binascii.Error) as error:
            return DamagedChange(number, path, f"row {number} of the journal is damaged ({error})")
        return Change(number, row[1], row[2], intention, *row[12:17])

    def stands_written(self, path: str) -> bool:
        """Whether some change of this very file stands written."""
        row = self._sql.execute(
            "SELECT 1 FROM change WHERE path = ? AND state = 'written' AND undoes IS NULL LIMIT 1", (os.fsencode(path),)
        ).fetchone()
        return row is not None

    def knows(self, path: str) -> bool:
        """Whether this very file was ever written, undone or not."""
        row = self._sql.execute(
            "SELECT 1 FROM change WHERE path = ? AND state IN ('written', 'undone') LIMIT 1", (os.fsencode(path),)
        ).fetchone()
        return row is not None

    def wrote_style(self, path: str, style: tuple[str, ...]) -> bool:
        """Whether a change of this very file that stands written gave it this style."""
        row = self._sql.execute(
            "SELECT 1 FROM change WHERE path = ? AND state = 'written' AND undoes IS NULL"
            " AND CASE WHEN json_valid(style) THEN json_extract(style, '$.after') END = json(?) LIMIT 1",
            (os.fsencode(path), _packed(style)),
        ).fetchone()
        return row is not None

    def standing(self, run: int | None = None, folders: Sequence[str] = ()) -> list[tuple[int, str]]:
        """Run and path of every change that stands written and is no undo, newest first; of one run, or of all, and
        of files at or below `folders`, or of all."""
        rows = [
            row
            for start, end in ranges_below(folders)
            for row in self._sql.execute(
                "SELECT id, run_id, path FROM change WHERE state = 'written' AND undoes IS NULL"
                " AND path >= ?1 AND path < ?2 AND (?3 IS NULL OR run_id = ?3)",
                (start, end, run),
            )
        ]
        return [(int(number), os.fsdecode(path)) for _, number, path in sorted(rows, reverse=True)]

    def runs(self) -> list[Run]:
        """Every run that changed something, or meant to; newest first."""
        rows = self._sql.execute(
            "SELECT r.id, r.command, r.arguments, r.version, r.started, r.finished, r.summary,"
            " coalesce(sum(c.state = 'written'), 0), coalesce(sum(c.state = 'undone'), 0)"
            " FROM run r LEFT JOIN change c ON c.run_id = r.id GROUP BY r.id ORDER BY r.id DESC"
        )
        return [
            Run(
                row[0], row[1], _object(row[2]), row[3], row[4], row[5],
                None if row[6] is None else _object(row[6]), row[7], row[8],
            )
            for row in rows
        ]  # fmt: skip

    def command_of(self, run: int) -> str | None:
        """The command of a run; None where there is no such run."""
        if run.bit_length() > 63:  # more than SQLite can hold
            return None
        row = self._sql.execute("SELECT command FROM run WHERE id = ?", (run,)).fetchone()
        return None if row is None else str(row[0])

    def last_undoable_run(self) -> int | None:
        """The newest run of which something stands written, or may turn out to once an interruption is settled; None
        where there is nothing to undo."""
        row = self._sql.execute(
            "SELECT max(run_id) FROM change WHERE state IN ('written', 'staged') AND undoes IS NULL"
        ).fetchone()
        return None if row[0] is None else int(row[0])


def _packed(genres: Genres) -> str | None:
    return None if genres is None else json.dumps(list(genres), ensure_ascii=False)


def _unpacked(text: str | None) -> Genres:
    if text is None:
        return None
    genres = json.loads(text)
    if not isinstance(genres, list) or not all(isinstance(genre, str) for genre in genres):
        raise ValueError("genres that are no list of texts")
    return tuple(genres)


def _packed_style(style: StyleChange | None) -> str | None:
    if style is None:
        return None
    fields = {"before": style.before, "after": style.after, "raw_before": _texts(style.raw_before)}
    return json.dumps({**fields, "alone": style.alone}, ensure_ascii=False)


def _style(text: str | None) -> StyleChange | None:
    if text is None:
        return None
    found = json.loads(text)
    before, after = (_unpacked(None if one is None else json.dumps(one)) for one in (found["before"], found["after"]))
    return StyleChange(before, after, _raw(json.dumps(found["raw_before"])), bool(found["alone"]))


def _texts(raw: tuple[tuple[str, bytes], ...]) -> list[list[str]]:
    return [[slot, base64.b64encode(data).decode()] for slot, data in raw]


def _object(text: str) -> dict[str, Any]:
    """Arguments or summary of a run; for people only, so damaged ones are empty."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _raw(text: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((str(slot), base64.b64decode(data, validate=True)) for slot, data in json.loads(text))

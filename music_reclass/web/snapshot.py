"""The library's tracks as columns in memory, so that a page of 300,000 rows is filtered without asking SQLite."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from music_reclass.classification.albums import MIN_TRACKS, album_of
from music_reclass.domain import Outcome, Relation, TrackTags
from music_reclass.errors import DatabaseError
from music_reclass.features.database import Database
from music_reclass.features.journal import Journal
from music_reclass.features.user_decisions import ALBUM, ARTIST, keys_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from music_reclass.features.journal import Run
    from music_reclass.taxonomy import Taxonomy

OUTCOMES = ("", *(outcome.value for outcome in Outcome))  # "": not decided yet
RELATIONS = ("", *(relation.value for relation in Relation))
CHOSEN, LEFT = "chosen", "left"  # reasons of what a person decided
_BATCH = 2000  # rows read before other threads get a turn
_RUNS = 200
_SETTLED = 2.0  # seconds between two looks whether the library has changed
_PAUSE = 5.0  # times that reading it took: a scan of hours, or answer upon answer, leaves the processor to others

_COLUMNS = """
    SELECT t.id, t.path, t.title, t.artist, t.album_artist, t.album, t.compilation, t.genres, d.outcome, d.reason,
           d.genres, d.confidence, f.outcome,
           CASE WHEN d.outcome = 'unsure' THEN (
               SELECT probabilities FROM vote WHERE track_id = t.id ORDER BY rowid DESC LIMIT 1) END
    FROM track t LEFT JOIN decision d ON d.track_id = t.id LEFT JOIN failure f ON f.track_id = t.id
    WHERE t.missing_since IS NULL"""


Found = TypeVar("Found")


class Filter(NamedTuple):
    """Which tracks are wanted; what is empty leaves nothing out."""

    text: str = ""  # in artist, album, title or path, in any case
    outcome: str = ""
    genre: str = ""  # as decided, or the likeliest one
    tag: str = ""  # the first genre in the file
    relation: str = ""


class Row(NamedTuple):
    """One track, as far as lists need it."""

    id: int
    text: str
    album: tuple[str, ...]
    outcome: int
    reason: str
    genre: str
    confidence: float
    tag: str
    relation: int
    keys: tuple[str, str]  # of album and artist, as decisions of the user name them


class Names:
    """Words by small numbers, in the order in which they came."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, word: str) -> int:
        """The number of a word, a new one for a new word."""
        if word not in self._numbers:
            self._numbers[word] = len(self.words)
            self.words.append(word)
        return self._numbers[word]

    def find(self, word: str) -> int:
        """The number of a word; -1 where no track has it."""
        return self._numbers.get(word, -1)


@dataclass(slots=True)
class Snapshot:
    """All tracks that are not missing, by path: one array a column, each of shape (tracks,).

    `text` is one string of what is searched, a line a track, `lines` where each begins; `order` sorts `ids`.
    """

    ids: NDArray[np.int64]
    outcomes: NDArray[np.int8]  # numbers of OUTCOMES
    relations: NDArray[np.int8]  # numbers of RELATIONS
    asked: NDArray[np.bool_]  # whether a person decided, or said not to be asked again
    genres: NDArray[np.int32]  # numbers of `genre_names`, the likeliest one where none was decided
    tags: NDArray[np.int32]
    confidences: NDArray[np.float32]
    albums: NDArray[np.int32]  # number of the album, or of the folder where a track has none
    keys: NDArray[np.int32]  # shape (2, tracks): numbers of `key_names`, of the album and of the artist
    named: NDArray[np.bool_]  # by album: whether it is an album, not a folder
    genre_names: Names
    tag_names: Names
    key_names: Names
    text: str
    lines: NDArray[np.int64]
    order: NDArray[np.int64]
    stages: dict[str, int]  # tracks by the stage that decided, the most frequent first
    runs: list[Run]  # that wrote, the newest first
    taken: float  # seconds since the epoch
    _known: dict[str, Any] = field(default_factory=dict)  # what was computed of all tracks, until one changes

    def __len__(self) -> int:
        return len(self.ids)

    def place(self, track: int) -> int | None:
        """Where a track stands; None where it is not there."""
        at = int(np.searchsorted(self.ids, track, sorter=self.order))
        if at >= len(self.order) or self.ids[self.order[at]] != track:
            return None
        return int(self.order[at])

    def places(self, tracks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where tracks stand that are there."""
        return self.order[np.searchsorted(self.ids, tracks, sorter=self.order)]

    def once(self, name: str, compute: Callable[[], Found]) -> Found:
        """What `compute` gives, computed once as long as no track changes."""
        known = self._known  # that of another time is left to itself
        if name not in known:
            known[name] = compute()
        found: Found = known[name]
        return found

    def relation(self, track: int) -> str:
        """How the decided genre of a track stands to that in the file; "" where nothing was decided."""
        place = self.place(track)
        return "" if place is None else RELATIONS[int(self.relations[place])]

    def matching(self, wanted: Filter) -> NDArray[np.bool_]:
        """Which tracks the filter lets through, but for its text; shape (tracks,)."""
        found = np.ones(len(self), dtype=bool)
        for value, column, names in (
            (wanted.genre, self.genres, self.genre_names),
            (wanted.tag, self.tags, self.tag_names),
        ):
            if value:
                found &= column == names.find(value)
        if wanted.outcome:
            found &= self.outcomes == OUTCOMES.index(wanted.outcome)
        if wanted.relation:
            found &= self.relations == RELATIONS.index(wanted.relation)
        return found

    def page(self, wanted: Filter, after: int | None, limit: int) -> tuple[list[int], int | None]:
        """At most `limit` track ids behind the place `after`, and the place of the last one where there may be more."""
        start = 0 if after is None else min(after + 1, len(self))
        places: list[int] = []
        if not wanted.text:
            found = np.flatnonzero(self.matching(wanted)[start:])[: limit + 1] + start
            places = found.tolist()
        else:
            passing, text = self.matching(wanted), wanted.text.casefold().replace("\n", " ")
            at = int(self.lines[start]) if start < len(self) else len(self.text)
            while len(places) <= limit and (at := self.text.find(text, at)) >= 0:
                place = int(np.searchsorted(self.lines, at, side="right")) - 1
                if passing[place]:
                    places.append(place)
                at = int(self.lines[place + 1]) if place + 1 < len(self) else len(self.text)
        more = len(places) > limit
        places = places[:limit]
        return [int(self.ids[place]) for place in places], places[-1] if more else None

    def count(self, wanted: Filter) -> int | None:
        """How many tracks the filter lets through; None where a text would have to be looked for in all of them."""
        return None if wanted.text else int(self.matching(wanted).sum())

    def album_sizes(self) -> NDArray[np.int64]:
        """How many tracks each album has, by its number."""
        return self.once("sizes", lambda: np.bincount(self.albums, minlength=len(self.named)))

    def size_of_album(self, track: int) -> int:
        """How many tracks the album of a track has; 0 where it is not there."""
        place = self.place(track)
        return 0 if place is None else int(self.album_sizes()[self.albums[place]])

    def on_album(self, track: int) -> list[int]:
        """The tracks of the album, or of the folder, of a track, by path; none where it is not there."""
        place = self.place(track)
        return [] if place is None else self.ids[self.albums == self.albums[place]].tolist()

    def meant(self, scope: str, key: str) -> list[int]:
        """The tracks that a decision for an album or an artist means."""
        row = self.keys[0 if scope == ALBUM else 1]
        return self.ids[row == self.key_names.find(key)].tolist() if key else []

    def review(self) -> list[int]:
        """The albums that somebody should decide, each by the id of its first track, the most valuable first.

        Whole albums stand before single tracks, because one look settles all of them; then counts how much of it a
        person may expect to confirm: the sum of the likeliest genres' probabilities (as in `report`).
        """
        return self.once("review", self._review)

    def _review(self) -> list[int]:
        open_now = (self.outcomes == OUTCOMES.index("unsure")) & ~self.asked
        if not open_now.any():
            return []
        size = len(self.named)
        counts = np.bincount(self.albums[open_now], minlength=size)
        values = np.bincount(self.albums[open_now], weights=self.confidences[open_now], minlength=size)
        first = np.full(size, np.iinfo(np.int64).max)
        np.minimum.at(first, self.albums, np.arange(len(self)))
        chosen = np.flatnonzero(counts)
        whole = self.named[chosen] & (counts[chosen] >= MIN_TRACKS)
        ranked = chosen[np.lexsort((chosen, -values[chosen], ~whole))]
        found: list[int] = self.ids[first[ranked]].tolist()
        return found

    def curve(self, steps: int = 50) -> list[tuple[float, int, float]]:
        """For each least confidence from 0 to 1 how many decided tracks reach it, and how many of these should be right
        by their confidence."""
        decided = np.isin(self.outcomes, [OUTCOMES.index("confident"), OUTCOMES.index("likely")])
        ranked = np.sort(self.confidences[decided].astype(np.float64))
        sums = np.concatenate([np.cumsum(ranked[::-1])[::-1], [0.0]])
        found = []
        for step in range(steps + 1):
            at = int(np.searchsorted(ranked, step / steps))
            count = len(ranked) - at
            found.append((step / steps, count, float(sums[at] / count) if count else 1.0))
        return found

    def counts(self, column: NDArray[np.int32], names: Names, among: NDArray[np.bool_]) -> dict[str, int]:
        """How often each word stands in a column, the most frequent first."""
        numbers = np.bincount(column[among], minlength=len(names.words))  # an answer may add words meanwhile
        ranked = sorted(((int(n), word) for n, word in zip(numbers, names.words, strict=False) if n), reverse=True)
        return {word: count for count, word in ranked}

    def put(self, rows: Iterable[Row]) -> None:
        """Let new decisions stand in the place of those of the same tracks."""
        for row in rows:
            place = self.place(row.id)
            if place is not None:
                self.outcomes[place], self.relations[place] = row.outcome, row.relation
                self.asked[place] = row.reason in (CHOSEN, LEFT)
                self.genres[place] = self.genre_names.number(row.genre)
                self.tags[place] = self.tag_names.number(row.tag)
                self.confidences[place] = row.confidence
        self._known = {}


def take(database: Database, taxonomy: Taxonomy) -> Snapshot:
    """The columns of a library as it is now; about 250 bytes and ten microseconds a track."""
    read = _reader(taxonomy)
    genres, tags, keys = Names(), Names(), Names()
    albums: dict[tuple[str, ...], int] = {}
    texts: list[str] = []
    columns: list[tuple[float, ...]] = []
    named: list[bool] = []
    cursor = database.connection.execute(f"{_COLUMNS} ORDER BY t.path")
    while rows := cursor.fetchmany(_BATCH):
        for row in map(read, rows):
            if row.album not in albums:
                albums[row.album] = len(albums)
                named.append(len(row.album) > 1)
            columns.append((
                row.id, row.outcome, row.relation, row.reason in (CHOSEN, LEFT), genres.number(row.genre),
                tags.number(row.tag), row.confidence, albums[row.album], *map(keys.number, row.keys),
            ))  # fmt: skip
            texts.append(row.text)
        time.sleep(0)
    stages = database.connection.execute(
        "SELECT d.stage, count(*) AS n FROM decision d JOIN track t ON t.id = d.track_id"
        " WHERE t.missing_since IS NULL AND d.outcome IN ('confident', 'likely') GROUP BY d.stage ORDER BY n DESC"
    ).fetchall()
    ids, outcomes, relations, asked, genre, tag, confidence, album, *of = (
        zip(*columns, strict=True) if columns else [()] * 10
    )
    lengths = np.array([len(text) + 1 for text in texts], dtype=np.int64)
    numbers = np.array(ids, dtype=np.int64)
    return Snapshot(
        numbers, np.array(outcomes, dtype=np.int8), np.array(relations, dtype=np.int8), np.array(asked, dtype=bool),
        np.array(genre, dtype=np.int32), np.array(tag, dtype=np.int32), np.array(confidence, dtype=np.float32),
        np.array(album, dtype=np.int32), np.array(of, dtype=np.int32), np.array(named, dtype=bool), genres, tags, keys,
        "\n".join(texts),
        np.cumsum(lengths) - lengths, np.argsort(numbers, kind="stable"), dict(stages),
        Journal(database).runs()[:_RUNS], time.time(),
    )  # fmt: skip


def rows_of(database: Database, taxonomy: Taxonomy, tracks: Sequence[int]) -> list[Row]:
    """What lists need of some tracks, as it is stored now."""
    read = _reader(taxonomy)
    found = (database.connection.execute(f"{_COLUMNS} AND t.id = ?", (track,)).fetchone() for track in tracks)
    return [read(row) for row in found if row is not None]


def _reader(taxonomy: Taxonomy) -> Callable[[Sequence[object]], Row]:
    relations: dict[tuple[str, object], int] = {}
    lists: dict[object, tuple[str, ...]] = {None: ()}

    def parsed(text: object) -> tuple[str, ...]:
        if text not in lists:
            lists[text] = tuple(json.loads(str(text)))
        return lists[text]

    def read(values: Sequence[object]) -> Row:
        (number, raw, title, artist, album_artist, album, compilation, stored, outcome, reason, decided, confidence,
         failed, votes) = values  # fmt: skip
        path = os.fsdecode(raw)  # type: ignore[arg-type]
        there = parsed(stored)
        found = parsed(decided)
        genre = found[0] if found else ""
        sure = float(confidence or 0.0)  # type: ignore[arg-type]
        relation = 0
        if genre and failed is None:
            pair = (genre, stored)
            if pair not in relations:
                known = taxonomy.relation(genre, None if stored is None else there)
                relations[pair] = RELATIONS.index(known.value)
            relation = relations[pair]
        elif votes:
            shares = json.loads(str(votes))
            genre = max(shares, key=shares.__getitem__)
            sure = float(shares[genre])
        tags = TrackTags(
            artist=str(artist), album_artist=str(album_artist), album=str(album), compilation=bool(compilation)
        )
        words = "\t".join(map(str, (artist, album_artist, album, title))) + "\t" + path
        text = words.encode("utf-8", "replace").decode().casefold().replace("\n", " ")
        group = album_of(path, tags) or (os.path.dirname(path),)
        state = str(failed or outcome or "")
        tag = there[0] if there else ""
        meant = keys_of(None, tags)
        return Row(
            int(number), text, group, OUTCOMES.index(state), str(reason or ""), genre, sure, tag, relation,  # type: ignore[call-overload]
            (meant.get(ALBUM, ""), meant.get(ARTIST, "")),
        )  # fmt: skip

    return read


class Current:
    """The newest snapshot of a library; a changed library is read again in the background, the old one serves on."""

    def __init__(self, path: Path, taxonomy: Taxonomy) -> None:
        self._path, self._taxonomy = path, taxonomy
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._version: object = None
        self._looked = self._took = 0.0
        self._reading: threading.Thread | None = None
        self._since: list[int] = []  # tracks of which something was stored while the library is being read

    @property
    def is_read(self) -> bool:
        """Whether the library was read yet."""
        return self._snapshot is not None

    def get(self) -> Snapshot:
        """The snapshot; the first call reads the library and waits for that."""
        with self._lock:
            if self._snapshot is None:
                self._refresh()
            elif time.monotonic() - self._looked > max(_SETTLED, _PAUSE * self._took) and (
                self._reading is None or not self._reading.is_alive()
            ):
                self._looked = time.monotonic()
                self._reading = threading.Thread(target=self._refresh_if_changed, daemon=True)
                self._reading.start()
            assert self._snapshot is not None
            return self._snapshot

    def put(self, database: Database, tracks: Sequence[int]) -> None:
        """Let what was just stored of some tracks be seen at once."""
        with self._lock:  # what is read last is put last
            self._since.extend(tracks)
            if self._snapshot is not None:
                self._snapshot.put(rows_of(database, self._taxonomy, tracks))

    def _refresh_if_changed(self) -> None:
        if not os.path.exists(self._path):  # moved away: a connection would make an empty one
            return
        with suppress(DatabaseError):  # a request that needs more than the lists says so
            database = Database(self._path, migrate=False)
            try:
                self._refresh_by(database)
            finally:
                database.close()

    def _refresh_by(self, database: Database) -> None:
        version = self._stamp(database)
        if version == self._version:
            return
        with self._lock:
            self._since.clear()
        start = time.monotonic()
        snapshot = take(database, self._taxonomy)
        with self._lock:
            self._looked = time.monotonic()
            self._took = self._looked - start
            snapshot.put(rows_of(database, self._taxonomy, self._since))
            self._snapshot, self._version = snapshot, version

    def _refresh(self) -> None:
        database = Database(self._path)
        try:
            self._version = self._stamp(database)
            self._snapshot = take(database, self._taxonomy)
            self._looked = time.monotonic()
        finally:
            database.close()

    @staticmethod
    def _stamp(database: Database) -> tuple[object, ...]:
        """What changes whenever something was committed: sizes and times of the file and of its log."""
        found: list[object] = []
        for ending in ("", "-wal"):
            try:
                status = os.stat(f"{database.path}{ending}")
                found.append((status.st_size, status.st_mtime_ns))
            except OSError:
                found.append(None)
        return tuple(found)

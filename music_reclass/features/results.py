"""What commands found and store for later: scans with the cost of each stage, certified exit rules, exit audits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import music_reclass
from music_reclass.features.database import Database

Stated = dict[str, Any]

_SCANS_COUNTED = 20  # for the cost of a stage: an older machine, or other settings, say little about the next track


@dataclass(slots=True)
class StageStats:
    """One stage in one scan, or in several added up; the first three are stored."""

    extracted: int = 0  # tracks for which its vectors were extracted
    seconds: float = 0.0  # wall seconds of the extraction, all workers together
    settled: int = 0  # tracks of which its vote is the last
    unreached: int = 0  # uncertain tracks that are left for the next scan
    failed: int = 0  # uncertain tracks whose vectors could not be extracted
    at_reading: int = 0  # of `extracted`, those from the very decoding that read the file
    ended: str = ""  # why its extraction ended before all tracks were reached, where something did not work

    @property
    def seconds_per_track(self) -> float | None:
        """Wall seconds a track; None where nothing was extracted."""
        return self.seconds / self.extracted if self.extracted else None


@dataclass(slots=True)
class ScanStats:
    """What one scan did. A stored one brings back the arguments, seconds, `found`, `decided`, `stopped` and stages."""

    arguments: Mapping[str, object] = field(default_factory=dict)
    started: float = 0.0  # seconds since the epoch; 0: now, less what the scan took
    version: str = music_reclass.__version__
    seconds: dict[str, float] = field(default_factory=dict)  # wall, by phase
    found: int = 0  # audio files
    new: int = 0
    changed: int = 0
    gone: int = 0  # tracks of the library that are missing now
    read: int = 0
    decided: int = 0
    stopped: bool = False
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # folders: path, why
    stages: dict[str, StageStats] = field(default_factory=dict)  # by name, in cascade order
    in_pieces: int = 0  # windows that a network computed in pieces for want of memory

    @property
    def known(self) -> int:
        """Files that needed no reading."""
        return self.found - self.new - self.changed

    def stage(self, name: str) -> StageStats:
        """The numbers of one stage, to be added to."""
        return self.stages.setdefault(name, StageStats())

    def as_json(self) -> dict[str, Any]:
        """What is stored, as plain values."""
        return {
            "arguments": self.arguments,
            "seconds": self.seconds,
            "found": self.found,
            "decided": self.decided,
            "stopped": self.stopped,
            "stages": [
                {"stage": name, "settled": stage.settled, "heard": stage.extracted, "seconds": stage.seconds}
                for name, stage in self.stages.items()
            ],
            "started": self.started,
            "version": self.version,
        }


class Scans:
    """Statements and questions about scans, dry ones too. The column `heard` holds `StageStats.extracted`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.connection

    def save(self, stats: ScanStats) -> int:
        """Store a scan; its number."""
        started = stats.started or time.time() - sum(stats.seconds.values())
        seconds = {phase: round(value, 3) for phase, value in stats.seconds.items()}
        with self._database.transaction():
            cursor = self._sql.execute(
                "INSERT INTO scan (arguments, version, started, seconds, found, decided, stopped)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    json.dumps(dict(stats.arguments), default=str), stats.version, started, json.dumps(seconds),
                    stats.found, stats.decided, int(stats.stopped),
                ),
            )  # fmt: skip
            number = int(cursor.lastrowid or 0)
            for name, stage in stats.stages.items():
                self._sql.execute(
                    "INSERT INTO scan_stage (scan_id, stage, settled, heard, seconds) VALUES (?, ?, ?, ?, ?)",
                    (number, name, stage.settled, stage.extracted, round(stage.seconds, 3)),
                )
        return number

    def last(self, count: int = 10) -> list[ScanStats]:
        """The newest scans, newest first."""
        rows = self._sql.execute(
            "SELECT id, arguments, version, started, seconds, found, decided, stopped FROM scan"
            " ORDER BY id DESC LIMIT ?",
            (count,),
        ).fetchall()
        return [
            ScanStats(
                json.loads(arguments), started, version, json.loads(seconds), found, decided=decided,
                stopped=bool(stopped), stages=self._stages(number),
            )
            for number, arguments, version, started, seconds, found, decided, stopped in rows
        ]  # fmt: skip

    def _stages(self, number: int) -> dict[str, StageStats]:
        rows = self._sql.execute(
            "SELECT stage, heard, seconds, settled FROM scan_stage WHERE scan_id = ? ORDER BY rowid", (number,)
        )
        return {str(name): StageStats(*values) for name, *values in rows.fetchall()}

    def costs(self, stages: Sequence[str] = ()) -> dict[str, StageStats]:
        """What the last scans that extracted vectors for a stage spent on it, added up; `stages` first."""
        rows = self._sql.execute(
            "SELECT stage, sum(heard), sum(seconds) FROM ("
            " SELECT stage, heard, seconds, row_number() OVER (PARTITION BY stage ORDER BY scan_id DESC) AS age"
            " FROM scan_stage WHERE heard > 0) WHERE age <= ? GROUP BY stage ORDER BY stage",
            (_SCANS_COUNTED,),
        ).fetchall()
        found = {str(stage): StageStats(int(extracted), float(seconds)) for stage, extracted, seconds in rows}
        return {stage: found[stage] for stage in dict.fromkeys([*stages, *found]) if stage in found}

    def seconds_per_track(self, kind: str) -> float | None:
        """Wall seconds a track that extracting the feature kind named `kind` took in the last scans, with their
        workers; None where no scan has done it."""
        cost = self.costs().get(kind)
        return None if cost is None else cost.seconds_per_track


class LibraryExits:
    """Questions and statements about exit rules that `calibrate` certified, as manifests state them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.connection

    def save(self, certificates: Mapping[str, Stated]) -> None:
        """Store certificates by the digest of the stage's bundle, in one transaction; each takes the place of one for
        the same later stages."""
        now = time.time()
        with self._database.transaction():
            for digest, stated in certificates.items():
                self._sql.execute(
                    "INSERT OR REPLACE INTO own_exit (digest, against, certificate, made) VALUES (?, ?, ?, ?)",
                    (digest, json.dumps(list(stated["against"])), json.dumps(stated), now),
                )

    def dates(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """When each certificate was made, in seconds since the epoch, by the digests of the stage's bundle and of the
        bundles of the later stages."""
        rows = self._sql.execute("SELECT digest, against, made FROM own_exit").fetchall()
        return {(digest, tuple(json.loads(against))): made for digest, against, made in rows}

    def of(self, digests: Iterable[str]) -> dict[str, list[Stated]]:
        """The certificates of bundles with these digests (`models.early_exit` reads them), the newest first."""
        found: dict[str, list[Stated]] = {}
        for digest in digests:
            rows = self._sql.execute(
                "SELECT certificate FROM own_exit WHERE digest = ? ORDER BY made DESC, rowid DESC", (digest,)
            ).fetchall()
            if rows:
                found[digest] = [json.loads(text) for (text,) in rows]
        return found

    def forget(self) -> int:
        """Drop all certificates of this library; how many there were."""
        with self._database.transaction():
            return int(self._sql.execute("DELETE FROM own_exit").rowcount)


class LibraryCalibrations:
    """Questions and statements about what `calibrate` measured on this library besides exits, by subject."""

    STYLES = "styles"

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.connection

    @staticmethod
    def thresholds_of(digest: str) -> str:
        """The subject of the thresholds of the stage whose bundle has this digest."""
        return f"thresholds of {digest}"

    def save(self, results: Mapping[str, Stated]) -> None:
        """Store results by subject, in one transaction; each takes the place of an older one."""
        rows = [(subject, json.dumps(result), time.time()) for subject, result in results.items()]
        with self._database.transaction():
            self._sql.executemany("INSERT OR REPLACE INTO calibration (subject, result, made) VALUES (?, ?, ?)", rows)

    def of(self, subject: str) -> Stated | None:
        """What was measured; None where nothing was."""
        row = self._sql.execute("SELECT result FROM calibration WHERE subject = ?", (subject,)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def count(self) -> int:
        """How many results there are."""
        return int(self._sql.execute("SELECT count(*) FROM calibration").fetchone()[0])

    def forget(self) -> int:
        """Drop them all; how many there were."""
        with self._database.transaction():
            return int(self._sql.execute("DELETE FROM calibration").rowcount)


class ExitAudits:
    """Questions and statements about audits of early exits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.connection

    def save(self, result: Stated) -> None:
        """Store what an audit found."""
        with self._database.transaction():
            self._sql.execute("INSERT INTO exit_audit (at, result) VALUES (?, ?)", (time.time(), json.dumps(result)))

    def last(self, count: int = 5) -> list[tuple[float, Stated]]:
        """The newest audits, newest first: when, and what was found."""
        rows = self._sql.execute("SELECT at, result FROM exit_audit ORDER BY id DESC LIMIT ?", (count,)).fetchall()
        return [(at, json.loads(text)) for at, text in rows]

"""What scans did and what each stage cost them: reports look back on it, and it says what a stage costs a track."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import music_reclass
from music_reclass.features.database import Database

_LOOKED_BACK = 20  # scans: an older machine, or other settings, say little about the next track


@dataclass(frozen=True, slots=True)
class StageCost:
    """One stage in one scan: tracks for which its vote is the last, tracks listened to for it, and for how long."""

    stage: str
    settled: int = 0
    heard: int = 0
    seconds: float = 0.0  # wall, all workers together

    @property
    def seconds_per_track(self) -> float | None:
        """Wall seconds a track; None where it listened to none."""
        return self.seconds / self.heard if self.heard else None


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """One scan. `started` is in seconds since the epoch; 0 means: now, less what it took."""

    arguments: Mapping[str, object] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)  # wall seconds by phase
    found: int = 0
    decided: int = 0
    stopped: bool = False
    stages: tuple[StageCost, ...] = ()
    started: float = 0.0
    version: str = music_reclass.__version__


class Scans:
    """Statements and questions about scans, dry ones too."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.connection

    def save(self, record: ScanRecord) -> int:
        """Keep a scan; its number."""
        started = record.started or time.time() - sum(record.seconds.values())
        seconds = {phase: round(value, 3) for phase, value in record.seconds.items()}
        with self._database.transaction():
            cursor = self._sql.execute(
                "INSERT INTO scan (arguments, version, started, seconds, found, decided, stopped)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    json.dumps(dict(record.arguments), default=str), record.version, started, json.dumps(seconds),
                    record.found, record.decided, int(record.stopped),
                ),
            )  # fmt: skip
            number = int(cursor.lastrowid or 0)
            for own in record.stages:
                self._sql.execute(
                    "INSERT INTO scan_stage (scan_id, stage, settled, heard, seconds) VALUES (?, ?, ?, ?, ?)",
                    (number, own.stage, own.settled, own.heard, round(own.seconds, 3)),
                )
        return number

    def last(self, count: int = 10) -> list[ScanRecord]:
        """The newest scans, newest first."""
        rows = self._sql.execute(
            "SELECT id, arguments, seconds, found, decided, stopped, started, version FROM scan"
            " ORDER BY id DESC LIMIT ?",
            (count,),
        ).fetchall()
        return [
            ScanRecord(
                json.loads(arguments), json.loads(seconds), found, decided, bool(stopped), self._stages(number),
                started, version,
            )
            for number, arguments, seconds, found, decided, stopped, started, version in rows
        ]  # fmt: skip

    def _stages(self, number: int) -> tuple[StageCost, ...]:
        rows = self._sql.execute(
            "SELECT stage, settled, heard, seconds FROM scan_stage WHERE scan_id = ? ORDER BY rowid", (number,)
        )
        return tuple(StageCost(*row) for row in rows.fetchall())

    def costs(self, stages: Sequence[str] = ()) -> dict[str, StageCost]:
        """What the last scans that listened for a stage spent on it, added up; `stages` first and in their order."""
        rows = self._sql.execute(
            "SELECT stage, sum(heard), sum(seconds) FROM ("
            " SELECT stage, heard, seconds, row_number() OVER (PARTITION BY stage ORDER BY scan_id DESC) AS age"
            " FROM scan_stage WHERE heard > 0) WHERE age <= ? GROUP BY stage ORDER BY stage",
            (_LOOKED_BACK,),
        ).fetchall()
        found = {str(stage): StageCost(str(stage), 0, int(heard), float(seconds)) for stage, heard, seconds in rows}
        return {stage: found[stage] for stage in dict.fromkeys([*stages, *found]) if stage in found}

    def seconds_per_track(self, kind: str) -> float | None:
        """Wall seconds that listening for the feature kind named `kind` took a track in the last scans, with their
        workers; None where no scan has done it."""
        cost = self.costs().get(kind)
        return None if cost is None else cost.seconds_per_track

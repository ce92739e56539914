"""Exit certificates made on this library, and audits of early exits."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from music_reclass.features.database import Database

Stated = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LibraryExit:
    """A certificate as it was stated, the digest of the bundle it is for, and when it was made."""

    digest: str
    stated: Stated
    made: float  # seconds since the epoch


class LibraryExits:
    """Questions and statements about exits that `calibrate` certified."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.connection

    def save(self, certificates: Mapping[str, Stated]) -> None:
        """Keep certificates by the digest of the stage's bundle, in one transaction; one for the same ladder gives
        way."""
        now = time.time()
        with self._database.transaction():
            for digest, stated in certificates.items():
                self._sql.execute(
                    "INSERT OR REPLACE INTO own_exit (digest, against, certificate, made) VALUES (?, ?, ?, ?)",
                    (digest, json.dumps(list(stated["against"])), json.dumps(stated), now),
                )

    def all(self) -> list[LibraryExit]:
        """Every certificate, the newest first."""
        rows = self._sql.execute("SELECT digest, certificate, made FROM own_exit ORDER BY made DESC, rowid DESC")
        return [LibraryExit(digest, json.loads(text), made) for digest, text, made in rows.fetchall()]

    def of(self, digests: Sequence[str]) -> dict[str, list[Stated]]:
        """The certificates as stated (`training.exits.from_stated` reads them) of bundles with these digests."""
        wanted, found = set(digests), dict[str, list[Stated]]()
        for own in self.all():
            if own.digest in wanted:
                found.setdefault(own.digest, []).append(own.stated)
        return found

    def forget(self) -> int:
        """Drop all certificates of this library; how many there were."""
        with self._database.transaction():
            return int(self._sql.execute("DELETE FROM own_exit").rowcount)


class ExitAudits:
    """Questions and statements about audits of early exits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = database.connection

    def save(self, result: Stated) -> None:
        """Keep what an audit found."""
        with self._database.transaction():
            self._sql.execute("INSERT INTO exit_audit (at, result) VALUES (?, ?)", (time.time(), json.dumps(result)))

    def last(self, count: int = 5) -> list[tuple[float, Stated]]:
        """The newest audits, newest first: when, and what was found."""
        rows = self._sql.execute("SELECT at, result FROM exit_audit ORDER BY id DESC LIMIT ?", (count,)).fetchall()
        return [(at, json.loads(text)) for at, text in rows]

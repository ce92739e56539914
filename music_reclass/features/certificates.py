"""Exit certificates made on this library, and audits of early exits."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from music_reclass.features.database import Database

Stated = dict[str, Any]


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

"""What the requests of one server share: settings, library, snapshot, answers, the job at work, the map."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from music_reclass.errors import DatabaseError
from music_reclass.features.database import Database
from music_reclass.taxonomy import load as load_taxonomy
from music_reclass.web.answers import Answers
from music_reclass.web.jobs import Jobs
from music_reclass.web.media import Reader
from music_reclass.web.snapshot import Current

if TYPE_CHECKING:
    from pathlib import Path

    from music_reclass.config import Settings

_FILES = 5  # an explanation may take as long as so many files of a scan


class Work:
    """What requests share."""

    def __init__(self, settings: Settings, job_flags: Sequence[str] = ()) -> None:
        self.settings = settings
        self.taxonomy = load_taxonomy(settings.taxonomy)
        self.current = Current(settings.database, self.taxonomy)
        self.answers = Answers(self.current)
        self.jobs = Jobs(job_flags)
        self._connections = threading.local()
        self.reader = Reader(settings.timeout, settings.worker_bytes)
        self.explainer = Reader(_FILES * settings.timeout)  # networks need more memory than decoders
        self._making = threading.Lock()
        self._maker: threading.Thread | None = None

    @property
    def database(self) -> Database:
        """The library, by the connection of this thread."""
        held = self._connections
        found: Database | None = getattr(held, "database", None)
        identity = _identity(self.settings.database)
        if identity is None and self.current.is_read:  # a new file would be empty, and an answer in the old one lost
            raise DatabaseError(
                f"The library database {self.settings.database} is not there any more; put it back in its place, or "
                "start reclass serve again with another --db."
            )
        if found is None or held.identity != identity:  # `db restore` puts another file in its place
            found = held.database = Database(self.settings.database)
            held.identity = _identity(self.settings.database)
        return found

    def map(self) -> bytes | None:
        """The map as gzipped JSON; None while it is being made, which begins with the first call."""
        from music_reclass.web.projection import make_map, stored_map

        snapshot = self.current.get()
        data = stored_map(self.database, snapshot)
        with self._making:
            if data is None and (self._maker is None or not self._maker.is_alive()):
                self._maker = threading.Thread(target=make_map, args=(self.settings.database, snapshot), daemon=True)
                self._maker.start()
        return data

    def close(self) -> None:
        """End the job and the readers with the server."""
        self.reader.close()
        self.explainer.close()
        self.jobs.close()


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another of its name; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino

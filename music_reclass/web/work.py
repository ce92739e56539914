"""What the requests of one server share: settings, library, snapshot, answers, the job at work, the map."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from music_reclass.features.database import Database
from music_reclass.taxonomy import load as load_taxonomy
from music_reclass.web.answers import Answers
from music_reclass.web.jobs import Jobs
from music_reclass.web.snapshot import Current

if TYPE_CHECKING:
    from music_reclass.config import Settings


class Work:
    """What requests share."""

    def __init__(self, settings: Settings, job_flags: Sequence[str] = ()) -> None:
        self.settings = settings
        self.taxonomy = load_taxonomy(settings.taxonomy)
        self.current = Current(settings.database, self.taxonomy)
        self.answers = Answers(self.current)
        self.jobs = Jobs(job_flags)
        self._connections = threading.local()
        self._making = threading.Lock()
        self._maker: threading.Thread | None = None

    @property
    def database(self) -> Database:
        """The library, by the connection of this thread."""
        found = getattr(self._connections, "database", None)
        if found is None:
            found = self._connections.database = Database(self.settings.database)
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
        """End the job with the server."""
        self.jobs.close()

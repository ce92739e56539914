"""What every command that may write sets up: the lease, the database, the journal made whole, an orderly stop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from music_reclass.classification.voter import Ladder
    from music_reclass.config import Settings
    from music_reclass.features.database import Database
    from music_reclass.features.journal import Journal
    from music_reclass.taxonomy import Taxonomy
    from music_reclass.utils.interrupt import StopRequest


@dataclass(frozen=True, slots=True)
class Session:
    """One writing command at work."""

    settings: Settings
    database: Database
    journal: Journal
    taxonomy: Taxonomy
    stop: StopRequest


@contextmanager
def session(settings: Settings, command: str) -> Iterator[Session]:
    """Hold the library for one writing command; what an earlier run left half done is settled first."""
    from music_reclass.features.database import Database
    from music_reclass.features.journal import Journal
    from music_reclass.features.lease import writing_lease
    from music_reclass.tagging.recovery import recover
    from music_reclass.taxonomy import load
    from music_reclass.utils.interrupt import orderly_stop

    taxonomy = load(settings.taxonomy)
    with writing_lease(settings.database, command), orderly_stop() as stop:
        database = Database(settings.database)
        journal = Journal(Database(settings.database, durable=True))
        try:
            recover(journal)
            yield Session(settings, database, journal, taxonomy, stop)
        finally:
            journal.database.close()
            database.close()


def ladder_for(settings: Settings, taxonomy: Taxonomy) -> Ladder:
    """The stages at hand, cheapest first: the user's own bundle or the embedded one."""
    from music_reclass.classification.voter import Ladder
    from music_reclass.training import bundles

    first = bundles.embedded() if settings.bundle is None else bundles.load(settings.bundle)
    return Ladder.from_bundles([first], taxonomy, settings.max_genres, settings.album)

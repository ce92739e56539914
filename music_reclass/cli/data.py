"""The flags that name labelled data, for `train` and `eval`, and the data that they name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from music_reclass.config import Settings
    from music_reclass.domain import FeatureKind, Track
    from music_reclass.features.database import Database
    from music_reclass.models.dataset import Augmentations, Dataset
    from music_reclass.taxonomy import Taxonomy
    from music_reclass.utils.progress import StopRequest

Command = TypeVar("Command", bound=Callable[..., Any])
KINDS = ("table", "fma", "fma-audio", "gtzan", "folder", "csv", "jamendo", "library")
AUDIO = ("fma-audio", "gtzan", "folder", "csv", "jamendo")
EXISTING = click.Path(path_type=Path)


def data_flags(command: Command) -> Command:
    """--on, --data, --subset, --excerpt, --audio, --least, --roots, --jobs."""
    for flag in (
        click.option("--jobs", "-j", type=int, help="Worker processes for audio (default: the cores less one)."),
        click.option("--roots", is_flag=True, help="Count every genre as its root (Metal as Rock)."),
        click.option(
            "--least",
            type=click.IntRange(1),
            default=20,
            show_default=True,
            help="Tracks that a genre of your own words needs to stand for itself; with fewer it counts as its parent.",
        ),
        click.option("--audio", type=EXISTING, help="Where MTG-Jamendo's audio lies, if not beside its list."),
        click.option(
            "--excerpt",
            type=click.Choice(["mid30", "full"]),
            default="mid30",
            show_default=True,
            help="What is heard of each file, or which vectors of the library are taken.",
        ),
        click.option(
            "--subset",
            type=click.Choice(["small", "medium", "large", "full"]),
            default="large",
            show_default=True,
            help="How much of FMA: this subset and those within it.",
        ),
        click.option("--data", "data_path", type=EXISTING, help="File or folder of the data."),
        click.option(
            "--on", "kind", type=click.Choice(KINDS), default="table", show_default=True, help="What the data are."
        ),
    ):
        command = flag(command)
    return command


@contextmanager
def opened(
    settings: Settings, words: dict[str, Any], taxonomy: Taxonomy, kinds: tuple[str, ...] = ("fma518",)
) -> Iterator[Dataset]:
    """The data set that the flags name; audio that was not listened to yet is listened to, resumably."""
    with opened_with_views(settings, words, taxonomy, kinds) as (data, _):
        yield data


@contextmanager
def opened_with_views(
    settings: Settings, words: dict[str, Any], taxonomy: Taxonomy, kinds: tuple[str, ...] = ("fma518",)
) -> Iterator[tuple[Dataset, Augmentations | None]]:
    """The data set with the vectors of `kinds` side by side, and the changed versions of its audio that --augment
    names."""
    import platformdirs

    from music_reclass.errors import NothingToDo
    from music_reclass.features.database import Database, writing_lease
    from music_reclass.training import open as opening
    from music_reclass.training.open import extract_files, extracted_vectors
    from music_reclass.utils.progress import orderly_stop

    cache = Path(platformdirs.user_cache_dir("reclass", appauthor=False)) / "datasets"
    databases: list[Database] = []

    def open_database(path: Path) -> Database:
        databases.append(Database(path))
        return databases[-1]

    def library() -> Database:
        if not settings.database.exists():
            raise NothingToDo(
                f"there is no library at {settings.database} yet: scan a folder first (reclass scan ~/Music)."
            )
        return open_database(settings.database)

    try:
        with orderly_stop() as stop:  # while listening; a training that follows ends at the first Ctrl-C

            def listen(paths: Sequence[str], kind: FeatureKind) -> Mapping[str, Track]:
                heard = open_database(cache / "listened.sqlite3")
                if kind.name == kinds[0]:
                    return extract_files(heard, paths, kind, settings, stop)
                return _heard_beside(heard, paths, kind, settings, stop)

            def hear(database: Database, tracks: Sequence[int], kind: FeatureKind) -> None:
                with writing_lease(settings.database, "train"):
                    extracted_vectors(database, tracks, kind, settings, stop)

            request = opening.DatasetRequest(
                words["kind"], words["data_path"], words["subset"], words["excerpt"], words["audio"], words["least"],
                words["roots"], cache, kinds,
            )  # fmt: skip
            data = opening.open_dataset(request, taxonomy, opening.Sources(listen, library, hear))
            names = _versions(words)
            views = None
            if names:
                from music_reclass.training.augment import augmented, completed

                heard = open_database(cache / "listened.sqlite3")
                views = completed(augmented(heard, data.names, names, data.kind, settings, stop), data.table.rows)
        yield data, views
    finally:
        for database in databases:
            database.close()


def _heard_beside(
    database: Database, paths: Sequence[str], kind: FeatureKind, settings: Settings, stop: StopRequest
) -> dict[str, Track]:
    """Vectors of a further kind for files that were listened to already, through one network for all of them."""
    from music_reclass.features.decisions import Decisions
    from music_reclass.training.open import extracted_vectors

    decisions = Decisions(database)
    found = {path: decisions.track_at(os.path.realpath(path)) for path in paths}
    known = {path: track for path, track in found.items() if track is not None and track.error is None}
    vectors = extracted_vectors(database, [track.id for track in known.values()], kind, settings, stop)
    return {path: replace(track, vector=vectors[track.id]) for path, track in known.items() if track.id in vectors}


def _versions(words: dict[str, Any]) -> tuple[str, ...]:
    """The names given with --augment, each known and once; () without."""
    from music_reclass.errors import UsageError

    asked = words.get("augment") or ""
    if not asked:
        return ()
    from music_reclass.training.augment import AUGMENTATIONS

    names = tuple(dict.fromkeys(name.strip() for name in asked.split(","))) if asked != "all" else tuple(AUGMENTATIONS)
    unknown = [name for name in names if name not in AUGMENTATIONS]
    if unknown:
        known = ", ".join(AUGMENTATIONS)
        raise UsageError(f"there is no version {unknown[0]!r} of a recording; choose among {known}, or all.")
    if words["kind"] not in AUDIO:
        raise UsageError(f"--augment changes audio, so it goes with --on {', '.join(AUDIO)}.")
    return names

"""Which data sets there are, and the one door to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from music_reclass.domain import FeatureKind
from music_reclass.errors import UsageError
from music_reclass.features.labelled import LabelledTracks
from music_reclass.taxonomy import Taxonomy
from music_reclass.training import kinds
from music_reclass.training.datasets import extraction, fma_metadata, folders, library, lists, npz
from music_reclass.training.datasets.shape import Dataset, Listing, fma518, labelled
from music_reclass.training.kinds import FIRST

if TYPE_CHECKING:
    from music_reclass.features.database import Database

KINDS = ("table", "fma", "fma-audio", "gtzan", "folder", "csv", "jamendo", "library")
LEAST = 20  # rows that a genre of one's own vocabulary needs to stand for itself


@dataclass(frozen=True, slots=True)
class Request:
    """Which data set: `path` is its file or folder, and is not needed for the library."""

    kind: str
    path: Path | None = None
    subset: str = "large"  # of FMA
    excerpt: str = "mid30"  # of audio that is listened to, and of the library's vectors
    audio: Path | None = None  # where MTG-Jamendo's audio lies, if not beside its list
    least: int = LEAST
    roots: bool = False
    cache: Path | None = None
    kinds: tuple[str, ...] = (FIRST,)  # whose vectors are wanted side by side, fma518 first


@dataclass(frozen=True, slots=True)
class Sources:
    """What the room above lends: a way to listen to files, and the library."""

    listen: extraction.Listen
    library: Callable[[], Database]
    # Sees to it that tracks of the library have vectors of a kind; without it those that are stored must do.
    hear: Callable[[Database, Sequence[int], FeatureKind], object] | None = None


def opened(request: Request, taxonomy: Taxonomy, sources: Sources) -> Dataset:
    """The data set that `request` names; UsageError or NothingToDo say what is wrong with it."""
    if request.kind == "table":
        return npz.read(_path(request), request.kinds)
    if request.kind == "fma":
        if len(request.kinds) > 1:
            raise UsageError("FMA's metadata hold fma518 alone; use its audio (--on fma-audio), or a table.")
        raw = fma_metadata.read(_path(request), request.subset, request.cache)
        return labelled(raw, taxonomy)
    if request.kind == "library":
        database, first, more = sources.library(), fma518(request.excerpt), _more(request)
        if more and sources.hear is not None:
            tagged = [track.id for track in LabelledTracks(database).with_vector(first)]
            for kind in more:
                sources.hear(database, tagged, kind)
        raw = library.read(database, first, more)
        return labelled(raw, taxonomy, request.least, request.roots)
    raw = extraction.extracted(_listing(request), fma518(request.excerpt), sources.listen, _more(request))
    own_words = request.kind in ("folder", "csv", "jamendo")
    return labelled(raw, taxonomy, request.least if own_words else 1, request.roots)


def _more(request: Request) -> tuple[FeatureKind, ...]:
    return tuple(kinds.here(name, request.excerpt) for name in request.kinds[1:])


def _listing(request: Request) -> Listing:
    path = _path(request)
    if request.kind == "fma-audio":
        return folders.fma_audio(path, request.subset)
    if request.kind == "jamendo":
        return lists.jamendo(path, request.audio)
    simple = {"gtzan": folders.gtzan, "folder": folders.folder_per_genre, "csv": lists.paths_csv}
    return simple[request.kind](path)


def _path(request: Request) -> Path:
    if request.path is None:
        raise UsageError(f"name the {request.kind} data with --data PATH.")
    return request.path

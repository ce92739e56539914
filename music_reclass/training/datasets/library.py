"""The user's own library as a data set: stored vectors, labelled by the genres that its owner gave."""

from __future__ import annotations

import os

import numpy as np

from music_reclass.domain import FeatureKind
from music_reclass.errors import NothingToDo
from music_reclass.features.database import Database
from music_reclass.features.labelled import LabelledTracks
from music_reclass.training.datasets.extraction import tags_group
from music_reclass.training.datasets.shape import Raw


def read(database: Database, kind: FeatureKind) -> Raw:
    """Every track with a vector of `kind` and a genre tag that we did not write ourselves; NothingToDo if none."""
    rows, genres, groups, names = [], [], [], []
    tracks = LabelledTracks(database)
    for track in tracks.with_vector(kind):
        rows.append(track.vector)
        genres.append(track.genres)
        groups.append(tags_group(track.tags) or f"folder {os.path.dirname(track.path)}")
        names.append(track.path)
    if not rows:
        raise NothingToDo(
            "no track of the library has both a genre tag of its own and stored features; scan a tagged folder first "
            "(reclass scan --dry-run PATH)."
        )
    ours = tracks.written_by_us()
    notes = (f"{ours} tracks hold a genre that reclass wrote; they teach nothing and are left out",) if ours else ()
    return Raw("library", np.stack(rows), genres, groups, names, kind, notes=notes)

"""Genre tags of a tagger as a prior: log-odds of a model's labels from the columns that hold the tagger's strengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from music_reclass.models.base import Floats
from music_reclass.taxonomy import Taxonomy

_LEAST = 1e-6  # a strength below says no less
# Where the taxonomy places a tag elsewhere than a tagger's listeners did, or does not know its word. None: no genre.
_GENRES: Mapping[str, str | None] = {
    "Music of Latin America": "Latin", "Salsa music": "Latin", "Flamenco": "Latin", "Gospel music": "Soul-RnB",
    "Independent music": "Rock", "Background music": None, "Christian music": None, "Choir": None,
    "Video game music": None, "Dance music": "Electronic", "A capella": None,
    "genre---indie": "Rock", "genre---alternative": "Rock", "genre---poprock": "Rock", "genre---popfolk": "Folk",
    "genre---newage": "Ambient", "genre---atmospheric": "Ambient", "genre---easylistening": "Easy Listening",
    "genre---lounge": "Easy Listening", "genre---instrumentalpop": "Easy Listening", "genre---orchestral": "Classical",
    "genre---world": "International", "genre---funk": "Soul-RnB", "genre---hiphop": "Hip-Hop",
    "genre---triphop": "Electronic", "genre---chillout": None, "genre---experimental": None,
    "genre---soundtrack": None, "genre---dance": "Electronic", "genre---downtempo": "Electronic",
}  # fmt: skip
_AUDIOSET_GENRES = slice(216, 275)  # and rapping, which is an utterance there
_RAPPING = 36


def tag_names(kind: str) -> tuple[str, ...]:
    """The tags of a tagger's feature kind in the order of its columns; () for a kind that holds no such tags."""
    if kind.startswith("efficientat") and kind.endswith("-tags"):
        from music_reclass.extractors.efficientat import audioset_labels

        return audioset_labels()
    if kind == "musicnn-tags":
        from music_reclass.extractors.musicnn import TAGS

        return TAGS
    return ()


def genre_of(tag: str, taxonomy: Taxonomy) -> str | None:
    """The genre of the taxonomy that a tag names; None for an instrument, a mood, or no genre that is known."""
    if tag in _GENRES:
        genre = _GENRES[tag]
        return None if genre is None else taxonomy.canonical(genre)
    group, _, word = tag.rpartition("---")
    if group not in ("", "genre"):
        return None
    words = (word, word.removesuffix(" music"), word.removeprefix("Music of "))
    return next((found for found in map(taxonomy.canonical, words) if found is not None), None)


@dataclass(frozen=True, slots=True)
class TagPrior:
    """Which columns of a row are tags, from `first` on, and which label each of them is a genre of.

    `members` has the shape (tags, labels): true where the tag is the label's genre or a finer one of it.
    """

    first: int
    members: NDArray[np.bool_]

    @property
    def columns(self) -> slice:
        """Where the tags stand in a row."""
        return slice(self.first, self.first + len(self.members))

    def __call__(self, rows: Floats) -> Floats:
        """Log-odds that any tag of each label holds, (n, labels), of raw `rows`; the mean for labels without a tag."""
        strengths = np.clip(rows[:, self.columns].astype(np.float64), 0.0, 1.0 - _LEAST)
        known: NDArray[np.bool_] = np.asarray(self.members.any(axis=0))
        absent = np.log1p(-strengths) @ self.members[:, known]  # the tags of a label as independent
        present = np.clip(-np.expm1(absent), _LEAST, 1.0 - _LEAST)
        odds = np.log(present) - np.log1p(-present)
        found = np.repeat(odds.mean(axis=1, keepdims=True), len(known), axis=1)
        found[:, known] = odds
        return np.asarray(found, dtype=np.float32)


def tag_priors(columns: Sequence[str], classes: Sequence[str], taxonomy: Taxonomy) -> tuple[TagPrior, ...]:
    """A prior for each tagger whose tags are among `columns` (named KIND_NUMBER), for the labels `classes`."""
    found: list[TagPrior] = []
    for kind in dict.fromkeys(name.rpartition("_")[0] for name in columns):
        names = tag_names(kind)
        if names:
            first = next(number for number, name in enumerate(columns) if name.rpartition("_")[0] == kind)
            found.append(TagPrior(first, _members(kind, names, classes, taxonomy)))
    return tuple(prior for prior in found if prior.members.any())


def without_tags(rows: Floats, priors: Sequence[TagPrior]) -> Floats:
    """The columns of `rows` that no prior reads, (n, rest)."""
    rest = np.ones(rows.shape[1], dtype=np.bool_)
    for prior in priors:
        rest[prior.columns] = False
    return rows if rest.all() else rows[:, rest]


def _members(kind: str, names: Sequence[str], classes: Sequence[str], taxonomy: Taxonomy) -> NDArray[np.bool_]:
    """Each tag counts for the label at or next above its genre; a label without any, for want of finer tags, takes
    those of the nearest genre above it that has some."""
    labels = [taxonomy.canonical(name) or name for name in classes]
    members = np.zeros((len(names), len(labels)), dtype=np.bool_)
    genres: dict[int, str] = {}
    for number, tag in enumerate(names):
        if kind == "musicnn-tags" or number == _RAPPING or number in range(*_AUDIOSET_GENRES.indices(len(names))):
            genre = "Hip-Hop" if tag == "Rapping" else genre_of(tag, taxonomy)
            if genre is not None:
                genres[number] = genre
    for number, genre in genres.items():
        nearest = next((name for name in (genre, *taxonomy.ancestors(genre)) if name in labels), None)
        if nearest is not None:
            members[number, labels.index(nearest)] = True
    for place, label in enumerate(labels):
        if not members[:, place].any() and label in taxonomy.parents:
            above = next((name for name in taxonomy.ancestors(label) if name in genres.values()), None)
            for number, genre in genres.items():
                members[number, place] = genre == above
    return members

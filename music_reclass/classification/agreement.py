"""Whether a decision agrees with the genre tag that the user gave, and what that tag counts as."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from music_reclass.domain import Relation
from music_reclass.taxonomy import Taxonomy

if TYPE_CHECKING:
    from music_reclass.classification.voter import Cascade

_LONGEST = 64  # values of one field that are looked at, as in `Taxonomy.relation`


class TagAgreement:
    """Judges decisions by tags, each combination once; `labels` are the genres that a model can name."""

    def __init__(self, taxonomy: Taxonomy, labels: Iterable[str]) -> None:
        self._taxonomy = taxonomy
        self._labels = frozenset(labels)
        self._relations: dict[tuple[str, tuple[str, ...]], bool | None] = {}
        self._counted: dict[tuple[str, ...], str | None] = {}

    def agrees(self, genre: str, tags: tuple[str, ...]) -> bool | None:
        """Whether one of `tags` is `genre`, lies below it or above it; None where they name no genre that is known."""
        asked = (genre, tags)
        if asked not in self._relations:
            relation = self._taxonomy.relation(genre, tags)
            known = self.counted_as(tags) is not None
            self._relations[asked] = relation in (Relation.AGREE, Relation.REFINE) if known else None
        return self._relations[asked]

    def counted_as(self, tags: tuple[str, ...]) -> str | None:
        """The label that the first known one of `tags` is or lies below, else its root; None where none is known."""
        if tags not in self._counted:
            self._counted[tags] = next((self._lifted(genre) for genre in self._known(tags)), None)
        return self._counted[tags]

    def _known(self, tags: tuple[str, ...]) -> Iterable[str]:
        for value in tags[:_LONGEST]:
            for name in self._taxonomy.split(value):
                genre = None if self._taxonomy.is_junk(name) else self._taxonomy.canonical(name)
                if genre is not None:
                    yield genre

    def _lifted(self, genre: str) -> str:
        path = (genre, *self._taxonomy.ancestors(genre))
        found = next((name for name in path if name in self._labels), None)
        if found is not None:
            return found
        above = genre
        while (parent := self._taxonomy.parent(above)) is not None:
            above = parent
        return above


def tag_agreement(cascade: Cascade) -> TagAgreement:
    """Judges decisions by the tags that users gave, in the labels of the cascade's last stage."""
    return TagAgreement(cascade.taxonomy, cascade.stages[-1].genres if cascade.stages else ())

"""The genre tree: spellings, ancestors, junk names, the relation of a decision to a tag, and an audit of tags."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from music_reclass.domain import Relation

SEPARATORS = ";/,|\\\0"
"""Characters that some tag reader takes for the end of a value (ID3v2.3, Navidrome, LMS, Jellyfin)."""

_SEPARATOR_RUN = re.compile(r"[;/,|\\\0、]+")
_AND = re.compile(r"[&+]|(?<=\w)\s*['’ ]n['’ ]\s*(?=\w)")
_UNDECOMPOSED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i"})
_URL = re.compile(
    r"\w+://|^www\.|^(?:[\w-]+\.)+(?:com|net|org|info|biz|ru|de|fr|uk|pl|nl|it|es|br|io|fm|me|tv|cc|ws|to)(?:/\S*)?$",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"^\S+@\S+\.\w+$")


@lru_cache(maxsize=1 << 13)  # every command reads the tree, whose names are looked up again and again
def key(name: str) -> str:
    """What is left of `name` when spelling no longer matters.

    Case, width, accents, spaces, hyphens and punctuation go; `&`, `+` and `'n'` become "and". A separator stays,
    as `/`: "Folk/Rock" is two names, "Folk-Rock" and "folk rock" are one.
    """
    if name.isascii():  # most names: nothing to decompose
        text = name.lower()
        if text.isalnum():
            return text
    else:
        text = unicodedata.normalize("NFKD", name).casefold()
        text = "".join(char for char in text if not unicodedata.combining(char)).translate(_UNDECOMPOSED)
    text = _SEPARATOR_RUN.sub("/", _AND.sub(" and ", text))
    return "/".join(part for part in ("".join(filter(str.isalnum, piece)) for piece in text.split("/")) if part)


def has_separator(name: str) -> bool:
    """Whether some tag reader would take `name` for several values."""
    return any(char in SEPARATORS for char in name)


def says_nothing(name: str) -> bool:
    """Whether `name` cannot be a genre whatever the tree: no letters, one letter, a URL, an e-mail address."""
    letters = [char for char in name if char.isalpha()]
    if not letters or (len(letters) == 1 and letters[0].isascii() and len(key(name)) == 1):
        return True
    text = name.strip()
    return bool(_URL.search(text) or _EMAIL.match(text))


_NUMBER = re.compile(r"\(?(\d{1,3})\)?")
_REFERENCES = re.compile(r"(?:\((?:\d{1,3}|RX|CR)\))+")
_ID3_WORDS = {"RX": "Remix", "CR": "Cover"}
# Nobody writes these inside a name, apart from the known ones ("R&B; Soul"), so they always part values.
_HARD = re.compile(r"\s*[;|\\\0；、]+\s*")
# These do occur in names ("Folk, World, & Country"), so they part values only if a genre comes of it.
_SOFT = re.compile(r"\s*[/,／，]+\s*")

# A tag is a stranger's text: what is longer than any genre field ought to be is not taken apart any further.
_LONGEST_VALUE, _MOST_PIECES, _LONGEST_RUN = 1000, 64, 4


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """Genres in their order, with what lies above each; made by `load`, which checks it.

    Every method takes a name in any known spelling. `digest` changes whenever the content does.
    """

    labels: tuple[str, ...]
    roots: tuple[str, ...]
    weak: frozenset[str]
    parents: Mapping[str, tuple[str, ...]]  # the home first; () for a root
    spellings: Mapping[str, str]  # key -> genre
    junk: frozenset[str]  # keys
    drop: frozenset[str]
    output: Mapping[str, str]
    fma: Mapping[int, str]
    id3v1: tuple[str, ...]
    digest: str

    def canonical(self, name: str) -> str | None:
        """The genre that `name` stands for ("rnb" -> "Soul-RnB", "(17)" -> "Rock"), or None if none is known."""
        wanted = key(name)
        genre = self.spellings.get(wanted)
        if genre is not None or wanted in self.junk:
            return genre
        number = _NUMBER.fullmatch(name.strip())
        if number:
            index = int(number[1])
            return self.spellings.get(key(self.id3v1[index])) if index < len(self.id3v1) else None
        return self.spellings.get(wanted[:-5]) if wanted.endswith("music") else None

    def is_junk(self, name: str) -> bool:
        """Whether `name` says nothing about the music: "Other", "genre", "2007", "www.example.com", ""."""
        if key(name) in self.junk:
            return True
        return self.canonical(name) is None and says_nothing(name)

    def parent(self, name: str) -> str | None:
        """The home of a genre in the tree; None for a root. ValueError if `name` is not known."""
        above = self.parents[self._known(name)]
        return above[0] if above else None

    def ancestors(self, name: str) -> tuple[str, ...]:
        """Everything above a genre along every way, nearest first."""
        found: dict[str, None] = {}
        front = self.parents[self._known(name)]
        while front:
            found.update(dict.fromkeys(front))
            front = tuple(above for genre in front for above in self.parents[genre] if above not in found)
        return tuple(found)

    def is_descendant(self, name: str, other: str) -> bool:
        """Whether `name` lies below `other`; no genre lies below itself."""
        return self._known(other) in self.ancestors(name)

    def display(self, name: str) -> str:
        """The name as it is written: without separators, in the user's wording."""
        genre = self._known(name)
        return self.output.get(genre, genre)

    def written(self, name: str) -> str | None:
        """The display name that goes into a tag: of the nearest genre on the way up that is not dropped, or None."""
        genre: str | None = self._known(name)
        while genre is not None and genre in self.drop:
            genre = self.parent(genre)
        return None if genre is None else self.display(genre)

    def split(self, value: str) -> list[str]:
        """The single names in a tag value: "Rock; Pop/Folk" -> Rock, Pop, Folk; known names stay whole.

        ID3 references are resolved: "(4)Eurodisco" -> Disco, Eurodisco. An empty value gives no names.
        """
        text = value[:_LONGEST_VALUE].strip()
        names: list[str] = []
        references = _REFERENCES.match(text)
        if references and not _NUMBER.fullmatch(text):
            names += [self._reference(word) for word in re.findall(r"\((\w+)\)", references[0])]
            text = text[references.end() :].strip()
        for part in self._pieces(text, _HARD):
            pieces = self._pieces(part, _SOFT)
            words = any(map(str.isalpha, part))  # "2001/12/13" is a date, not three ID3 numbers
            apart = words and (any(map(self.canonical, pieces)) or all(map(self.is_junk, pieces)))
            names += pieces if apart else [part]
        return list(dict.fromkeys(name for name in names if name))

    def cleaned(self, values: Sequence[str], only: Sequence[str] = ()) -> tuple[str, ...]:
        """A genre field in the spellings of the taxonomy: values apart, junk gone, each genre once, in their order.

        A genre that is not among `only` becomes the nearest one above it that is; where there is none it goes, as do
        names that the taxonomy does not know. Without `only` such names stay as they are. Nothing else comes in, and
        what came out stays as it is. A field that is too long to look through stays whole.
        """
        if len(values) > _MOST_PIECES or any(len(value) > _LONGEST_VALUE for value in values):
            return tuple(values)
        allowed, before = {self._known(name) for name in only}, tuple(values)
        for _ in range(_MOST_PIECES):  # ";(17)Rock" holds a value that falls apart in turn
            after = self._cleaned_once(before, allowed)
            if after == before:
                break
            before = after
        return before

    def _cleaned_once(self, values: Sequence[str], allowed: Set[str]) -> tuple[str, ...]:
        found: dict[str, str] = {}
        for name in dict.fromkeys(name for value in values for name in self.split(value)):
            genre = self.canonical(name)
            if genre is None:
                if not allowed and not self.is_junk(name) and name.strip():
                    found.setdefault(key(name) or name, name.strip())
                continue
            above = (genre, *self.ancestors(genre))
            chosen = next((one for one in above if one in allowed), None) if allowed else genre
            written = None if chosen is None else self.written(chosen)
            if written is not None:
                found.setdefault(written, written)
        return tuple(found.values())

    def relation(self, genre: str, existing: Sequence[str] | None) -> Relation:
        """How the decided `genre` stands to the values that are there; one value may hold several names.

        Values that are finer than the decision agree with it ("don't coarsen"); an unknown name counts as a
        genre, so it conflicts and is not replaced unless somebody asks for that.
        """
        if not existing:
            return Relation.FILL
        names = [name for value in existing[:_MOST_PIECES] for name in self.split(value) if not self.is_junk(name)]
        if not names and len(existing) <= _MOST_PIECES:
            return Relation.JUNK
        if not names:
            return Relation.CONFLICT  # a field too long to look through is somebody's, or hostile: hands off
        decided = self.canonical(genre)
        present = {self.canonical(name) or key(name) for name in names}
        if (decided or key(genre)) in present:
            return Relation.AGREE
        known = [name for name in present if name in self.parents]
        if decided is None:
            return Relation.CONFLICT
        if any(self.is_descendant(name, decided) for name in known):
            return Relation.AGREE
        above = self.ancestors(decided)
        return Relation.REFINE if any(name in above for name in known) else Relation.CONFLICT

    def _known(self, name: str) -> str:
        genre = name if name in self.parents else self.canonical(name)
        if genre is None:
            raise ValueError(f"“{name}” is no genre of the taxonomy")
        return genre

    def _recognised(self, name: str) -> bool:
        return self.canonical(name) is not None or (self.is_junk(name) and any(map(str.isalpha, name)))

    def _reference(self, word: str) -> str:
        if word in _ID3_WORDS:
            return _ID3_WORDS[word]
        return self.id3v1[int(word)] if int(word) < len(self.id3v1) else word

    def _pieces(self, text: str, separator: re.Pattern[str]) -> list[str]:
        """`text` cut at `separator`, the longest run that is one known name kept whole."""
        if self._recognised(text):
            return [text]
        cuts = [0, *(edge for found in separator.finditer(text) for edge in found.span()), len(text)]
        spans = list(zip(cuts[::2], cuts[1::2], strict=True))[:_MOST_PIECES]
        pieces: list[str] = []
        start = 0
        while start < len(spans):
            for stop in range(min(len(spans), start + _LONGEST_RUN), start, -1):
                piece = text[spans[start][0] : spans[stop - 1][1]]
                if stop == start + 1 or self._recognised(piece):
                    pieces.append(piece.strip())
                    start = stop
                    break
        return [piece for piece in pieces if piece]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One distinct tag value: how often it occurs, the genres it stands for, the names in it that nobody knows."""

    value: str
    count: int
    genres: tuple[str, ...]
    unmapped: tuple[str, ...]

    @property
    def status(self) -> Literal["mapped", "unmapped", "junk"]:
        """`unmapped` as soon as one name in the value is not known; `junk` if no name in it says anything."""
        if self.unmapped:
            return "unmapped"
        return "mapped" if self.genres else "junk"


def audit(taxonomy: Taxonomy, values: Iterable[tuple[str, int]]) -> tuple[AuditRow, ...]:
    """A row for each distinct value of `(value, count)` pairs, the most frequent first, then by name."""
    counts: Counter[str] = Counter()
    for value, count in values:
        counts[value] += count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(_row(taxonomy, value, count) for value, count in ordered)


def _row(taxonomy: Taxonomy, value: str, count: int) -> AuditRow:
    names = [name for name in taxonomy.split(value) if not taxonomy.is_junk(name)]
    found = [(name, taxonomy.canonical(name)) for name in names]
    genres = dict.fromkeys(genre for _, genre in found if genre is not None)
    return AuditRow(value, count, tuple(genres), tuple(name for name, genre in found if genre is None))

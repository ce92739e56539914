"""Maps paths between this machine and the server, and matches server tracks to local files."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from music_reclass.errors import UsageError
from music_reclass.plex.model import tag_key
from music_reclass.taxonomy.tree import key

if TYPE_CHECKING:
    from music_reclass.domain import Track
    from music_reclass.plex.model import Listed

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\|[A-Za-z]:$")
ENOUGH = 3  # artist, album and file: many an album is called "CD 1" and holds a "01 Intro.mp3"
LEAST_SHARE = 0.02  # of the samples; fewer votes for a pair are chance

Parts = tuple[str, ...]


def is_windows(path: str) -> bool:
    """Whether `path` is written as Windows does."""
    return _WINDOWS.match(path) is not None


def parts_of(path: str) -> Parts:
    """The components of a path of either kind; the first is "" or the drive."""
    text = path.replace("\\", "/") if is_windows(path) else path
    return tuple(text.rstrip("/").split("/"))


def path_of(parts: Sequence[str], *, windows: bool = False) -> str:
    """The path that has these components."""
    text = ("\\" if windows else "/").join(parts)
    return text if len(parts) > 1 else text + ("\\" if windows else "/")


def _keys(path: str, fold: bool) -> Parts:
    """The components of a path as they are compared: Unicode composed, and without case if `fold`."""
    return parts_of(tag_key(path) if fold else unicodedata.normalize("NFC", path))


@dataclass(frozen=True, slots=True)
class PathMap:
    """Pairs (folder on the server, folder here); the longest that fits a path is used.

    Of an inferred map, `votes`: how many samples each pair explains, and `unmatched`: the samples that none explains.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    votes: tuple[int, ...] = field(default=(), compare=False)
    unmatched: tuple[str, ...] = field(default=(), compare=False)

    def local(self, server_path: str) -> str | None:
        """Where a file of the server should lie here; None outside every pair."""
        return _moved(server_path, self.pairs)

    def server(self, local_path: str) -> str | None:
        """Where a file from here lies for the server; None outside every pair."""
        return _moved(local_path, [(local, server) for server, local in self.pairs])

    def over(self, others: PathMap) -> PathMap:
        """These pairs, and those of `others` for server folders that these do not name."""
        named = {parts_of(server) for server, _ in self.pairs}
        return PathMap(self.pairs + tuple(pair for pair in others.pairs if parts_of(pair[0]) not in named))


NO_MAP = PathMap()


def _moved(path: str, pairs: Iterable[tuple[str, str]]) -> str | None:
    fold, parts = is_windows(path), parts_of(path)
    keys = _keys(path, fold)
    fitting = [(len(root), new) for old, new in pairs if keys[: len(root := _keys(old, fold))] == root]
    if not fitting:
        return None
    length, target = max(fitting, key=lambda pair: pair[0])
    return path_of(parts_of(target) + parts[length:], windows=is_windows(target))


def parse_pair(text: str) -> tuple[str, str]:
    """`SERVER=LOCAL` as two folders; UsageError if it is not that."""
    server, found, local = text.partition("=")
    if not found or not server.strip() or not local.strip():
        raise UsageError(f"A path pair is written SERVER=LOCAL, e.g. /data/music=/home/me/Music, not {text!r}.")
    return server.strip(), local.strip()


def infer(samples: Sequence[str], locations: Sequence[str], local_paths: Iterable[str]) -> PathMap:
    """Infer the pairs of folders from files of the server and files here; `local_paths` is read once.

    Each file votes for the two folders that remain when the longest equal end of the two paths is taken off.
    """
    named: dict[str, list[str]] = {_keys(sample, True)[-1]: [] for sample in samples}
    for path in local_paths:
        if (alike := named.get(_keys(path, True)[-1])) is not None:
            alike.append(path)
    votes = {sample: _votes(sample, named[_keys(sample, True)[-1]], locations) for sample in samples}
    return _elected(votes)


def _votes(sample: str, candidates: Sequence[str], locations: Sequence[str]) -> frozenset[tuple[str, str]]:
    windows = is_windows(sample)
    parts, keys = parts_of(sample), _keys(sample, windows)
    common = [_common_end(keys, _keys(path, windows)) for path in candidates]
    roots = [root for location in locations if keys[: len(root := _keys(location, windows))] == root]
    inside = len(parts) - max(map(len, roots), default=0) or len(parts)
    found = set()
    for path, length in zip(candidates, common, strict=True):
        if not length or length != max(common):
            continue
        here = parts_of(path)
        if roots and length >= inside:
            cut = inside  # all below the library's folder agrees: that folder is the pair, not one above it
        elif length >= ENOUGH:
            cut = min(length, len(parts) - 1, len(here) - 1)
        else:
            continue
        found.add((path_of(parts[:-cut], windows=windows), path_of(here[:-cut])))
    return frozenset(found)


def _common_end(one: Parts, other: Parts) -> int:
    both = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))


def _elected(votes: Mapping[str, frozenset[tuple[str, str]]]) -> PathMap:
    """The fewest pairs that explain the samples: the most voted for first, then for those it leaves."""
    left = dict(votes)
    elected: dict[tuple[str, str], int] = {}
    while counts := Counter(pair for ballot in left.values() for pair in ballot):
        pair, count = min(counts.items(), key=lambda entry: (-entry[1], entry[0]))
        if count < LEAST_SHARE * len(votes):
            break
        if any(_contradicts(pair, other) for other in elected):
            left = {sample: ballot - {pair} for sample, ballot in left.items()}
        else:
            elected[pair] = count
            left = {sample: ballot for sample, ballot in left.items() if pair not in ballot}
    return PathMap(tuple(elected), tuple(elected.values()), tuple(left))


def _contradicts(pair: tuple[str, str], elected: tuple[str, str]) -> bool:
    """Whether a pair sends a folder within one that is elected to another place within the same folder here."""
    server, local = parts_of(pair[0]), parts_of(pair[1])
    top, here = parts_of(elected[0]), parts_of(elected[1])
    return server[: len(top)] == top and local[: len(here)] == here


def spread(items: Sequence[str], count: int) -> list[str]:
    """`count` of `items` at even distances, all of them where there are fewer."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]


UNMAPPED, UNSCANNED, AMBIGUOUS, OTHER_LENGTH = "unmapped", "unscanned", "ambiguous", "other-length"
SECONDS_APART = 2.0  # what two programs may differ in the length of one track
SAME_FILE_APART = 10.0  # and in that of one file, which may be damaged or have no length written into it


class Match(NamedTuple):
    """The file of a track on the server, or the reason why there is none."""

    track: Track | None
    reason: str = ""


class LocalIndex:
    """The files of the library, to be found by path in any Unicode form, and by artist, album, title and length."""

    def __init__(self, tracks: Iterable[Track]) -> None:
        self._by_path = {unicodedata.normalize("NFC", track.path): track for track in tracks}
        self._by_folded: dict[str, Track | None] = {}
        for name, track in self._by_path.items():
            folded = name.casefold()
            self._by_folded[folded] = None if folded in self._by_folded else track
        self._by_tags: dict[tuple[str, str, str], list[Track]] | None = None

    def __len__(self) -> int:
        return len(self._by_path)

    def at(self, path: str) -> Track | None:
        """The file at a path; where none has this very name, the only one that has it in another case."""
        composed = unicodedata.normalize("NFC", path)
        return self._by_path.get(composed) or self._by_folded.get(composed.casefold())

    def like(self, listed: Listed) -> Track | None:
        """The only file with this artist, album, title and length; None where several or none have them."""
        if self._by_tags is None:
            self._by_tags = {}
            for track in self._by_path.values():
                triple = (key(track.tags.artist), key(track.tags.album), key(track.tags.title))
                if all(triple):
                    self._by_tags.setdefault(triple, []).append(track)
        names = {key(listed.artist), key(listed.album_artist)}
        found = [
            track
            for name in names
            for track in self._by_tags.get((name, key(listed.album), key(listed.title)), ())
            if track.duration and listed.seconds and abs(track.duration - listed.seconds) <= SECONDS_APART
        ]
        return found[0] if len(found) == 1 else None


def match(listed: Listed, index: LocalIndex, path_map: PathMap, *, by_tags: bool = False) -> Match:
    """The file of one track. Several parts may be several files; if their decisions differ it is `ambiguous`."""
    paths = [path for path in map(path_map.local, listed.files) if path is not None]
    found = {track.path: track for track in map(index.at, paths) if track is not None}
    if not found and by_tags and (alike := index.like(listed)) is not None:
        return Match(alike)
    if not found:
        return Match(None, UNSCANNED if paths else UNMAPPED)
    if all(_differs(track, listed) for track in found.values()):
        return Match(None, OTHER_LENGTH)  # the same name, but other music: the path map is wrong
    decided = [track for track in found.values() if track.decision is not None]
    if len({track.decision.genres for track in decided if track.decision}) > 1:
        return Match(None, AMBIGUOUS)
    return Match(decided[0] if decided else next(iter(found.values())))


def _differs(track: Track, listed: Listed) -> bool:
    if not track.duration or not listed.seconds:
        return False
    return abs(track.duration - listed.seconds) > max(SAME_FILE_APART, 0.05 * listed.seconds)

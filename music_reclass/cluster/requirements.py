"""What a node must have in common with the machine that asks, and which name a folder has on which node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from music_reclass.cluster.node import Facts, Sample
from music_reclass.errors import UsageError
from music_reclass.plex.paths import PathMap, is_windows, parse_pair

ALL = "*"
PATHS, BYTES, OTHERS = (
    "paths",
    "bytes",
    "others",
)  # how a node gets files: by path, by contents, so because it has others


def refusal(here: Facts, there: Facts, firm: Iterable[str]) -> str:
    """Why a node cannot take part, "" where it can: `firm` are the keys of kinds that it must make."""
    for word, ours, theirs in (
        ("reclass", here.reclass, there.reclass),
        ("Ray", here.ray, there.ray),
        ("Python", here.python, there.python),
    ):
        if ours != theirs:
            return f"it has {word} {theirs.removeprefix('CPython ')}, this machine {ours.removeprefix('CPython ')}"
    for model, digest in here.weights.items():
        if digest and there.weights.get(model, "") not in ("", digest):
            return (
                f"it has other weights of {model} ({there.weights[model][:8]}, here {digest[:8]}); delete them there "
                "and they are sent"
            )
    return next((why for key in firm if (why := lack(there, key))), "")


def lack(there: Facts, key: str) -> str:
    """Why a node does not make vectors of the kind `key`, "" where it does."""
    made = there.kinds.get(key, "nothing")
    if made == key:
        return ""
    return f"it makes {made}, and {key} is wanted" if "/" in made and " " not in made else f"{key}: {made}"


def wanting(here: Facts, there: Facts) -> list[str]:
    """The models whose weights are here and not on the node."""
    return [model for model, digest in here.weights.items() if digest and not there.weights.get(model)]


def view(here: Sequence[Sample], there: Sequence[Sample | None]) -> str:
    """How a node gets its files, by files that both look at: PATHS where it sees one and none is another, else BYTES
    (none is there) or OTHERS (another file has the same name)."""
    pairs = [(ours, theirs) for ours, theirs in zip(here, there, strict=True) if theirs is not None]
    if any((ours.size, ours.digest) != (theirs.size, theirs.digest) for ours, theirs in pairs):
        return OTHERS
    return PATHS if pairs else BYTES


def node_pairs(pairs: Sequence[str]) -> dict[str, PathMap]:
    """The maps of `[NODE:]SERVER=LOCAL` by node, ALL for those without one. UsageError."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    for text in pairs:
        name, rest = _prefix(text)
        found[name] = (*found.get(name, ()), parse_pair(rest))
    return {name: PathMap(given) for name, given in found.items()}


def names_node(pair: str) -> bool:
    """Whether a pair of --map begins with a node."""
    return _prefix(pair)[0] != ALL or pair.startswith(f"{ALL}:")


def _prefix(text: str) -> tuple[str, str]:
    name, colon, rest = text.partition(":")
    if not colon or "/" in name or "\\" in name or "=" in name or is_windows(text):
        return ALL, text
    return name, rest


def map_of(maps: Mapping[str, PathMap], names: Iterable[str]) -> PathMap:
    """The map of the node that has these names: its pairs, and those for all nodes for other folders."""
    merged = PathMap()
    for name in (*names, ALL):
        merged = merged.over(maps.get(name, PathMap()))
    return merged


def check_names(maps: Mapping[str, PathMap], names: Iterable[str]) -> None:
    """UsageError for a map of a node that is not there."""
    known = list(names)
    for name in maps:
        if name != ALL and name not in known:
            raise UsageError(f"--map names the node {name!r}; the cluster has {', '.join(sorted(set(known)))}.")

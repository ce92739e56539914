"""Reads the shipped genre tree and merges the user's file over it; contradictions within one file are errors."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from music_reclass.errors import UsageError
from music_reclass.taxonomy.tree import Taxonomy, has_separator, key

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Section -> the keys it may have (None: genre names).
_SECTIONS: dict[str, frozenset[str] | None] = {
    "roots": frozenset({"names", "weak"}),
    "genres": None,
    "also": None,
    "aliases": None,
    "junk": frozenset({"values"}),
    "drop": frozenset({"values"}),
    "output": None,
    "id3v1": frozenset({"names"}),
    "fma": None,
}


@dataclass(slots=True)
class _Draft:
    """The tree while files are being laid on top of each other."""

    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    spellings: dict[str, str] = field(default_factory=dict)
    junk: set[str] = field(default_factory=set)
    weak: frozenset[str] = frozenset()
    drop: set[str] = field(default_factory=set)
    output: dict[str, str] = field(default_factory=dict)
    fma: dict[int, str] = field(default_factory=dict)
    id3v1: tuple[str, ...] = ()

    def genre(self, name: str, where: str) -> str:
        """The genre that a file means by `name`."""
        found = self.spellings.get(key(name))
        if found is None:
            raise UsageError(f"{where} speaks of the genre “{name}”, which is not in the tree; add it under [genres].")
        return found


def load(extra: Path | None = None) -> Taxonomy:
    """The shipped taxonomy, with the user's file `extra` on top; UsageError says what is wrong with it."""
    if extra is None:
        return _shipped()
    where = f"The taxonomy file {extra}"
    try:
        text = extra.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not UTF-8 text; save it as UTF-8.") from error
    draft = _drafted()
    _lay(draft, _parsed(text, where), where)
    return _finished(draft)


@cache
def _shipped() -> Taxonomy:
    return _finished(_drafted())


def _drafted() -> _Draft:
    draft = _Draft()
    shipped = (files("music_reclass") / "data" / "taxonomy.toml").read_text(encoding="utf-8")
    _lay(draft, _parsed(shipped, "The shipped taxonomy"), "The shipped taxonomy")
    return draft


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        data: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not valid TOML: {error}.") from error
    for section, content in data.items():
        if section not in _SECTIONS:
            known = ", ".join(f"[{name}]" for name in _SECTIONS)
            raise UsageError(f"{where} has a section [{section}] that means nothing; there are {known}.")
        allowed = _SECTIONS[section]
        for name, value in _table(content, section, where).items():
            if allowed is not None and name not in allowed:
                raise UsageError(
                    f"{where} has “{name}” in [{section}], where only {', '.join(sorted(allowed))} may be."
                )
            _check_value(section, name, value, where)
    return data


def _table(content: Any, section: str, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UsageError(f"{where} has “{section}” as a value; write it as a section, [{section}].")
    return content


def _check_value(section: str, name: str, value: Any, where: str) -> None:
    if section == "output":
        fine, wanted = isinstance(value, str), "text in quotes"
    elif section == "fma":
        fine, wanted = isinstance(value, int), "a number"
    else:
        fine = isinstance(value, list) and all(isinstance(item, str) for item in value)
        wanted = "a list of texts"
    if not fine:
        raise UsageError(f"{where} gives “{name}” in [{section}] something else than {wanted}.")


def _lay(draft: _Draft, data: Mapping[str, Mapping[str, Any]], where: str) -> None:
    """Lay one file's content on top of `draft`."""
    roots = data.get("roots", {})
    homes = _homes(roots.get("names", []), data.get("genres", {}), where)
    genres = {child: _add_genre(draft, child, where) for child in homes}
    for child, parent in homes.items():
        old = draft.parents[genres[child]][1:]
        draft.parents[genres[child]] = (draft.genre(parent, where), *old) if parent else ()
    _add_aliases(draft, data.get("aliases", {}), where)
    for child, others in data.get("also", {}).items():
        genre = draft.genre(child, where)
        home = draft.parents[genre][:1]
        if not home:
            raise UsageError(f"{where} gives the root “{child}” a parent in [also]; list it under one in [genres].")
        draft.parents[genre] = (*home, *(draft.genre(other, where) for other in others if key(other) != key(home[0])))
    _add_junk(draft, data.get("junk", {}).get("values", []), data.get("aliases", {}), where)
    if "weak" in roots:
        draft.weak = frozenset(draft.genre(name, where) for name in roots["weak"])
    draft.drop |= {draft.genre(name, where) for name in data.get("drop", {}).get("values", [])}
    _add_output(draft, data.get("output", {}), where)
    draft.fma |= {number: draft.genre(name, where) for name, number in data.get("fma", {}).items()}
    draft.id3v1 = tuple(data.get("id3v1", {}).get("names", draft.id3v1))


def _homes(roots: list[str], genres: Mapping[str, list[str]], where: str) -> dict[str, str]:
    """Child -> parent as one file lists them, "" for a root; a child has one home."""
    homes: dict[str, str] = dict.fromkeys(roots, "")
    listed = {key(root) for root in roots}
    for parent, children in genres.items():
        for child in children:
            if key(child) in listed:
                raise UsageError(f"{where} lists “{child}” twice; a second parent goes into [also].")
            listed.add(key(child))
            homes[child] = parent
    return homes


def _add_genre(draft: _Draft, name: str, where: str) -> str:
    """Make `name` a genre, unless it is one; a spelling or junk value of that name gives way."""
    _check_name(name, where)
    known = draft.spellings.get(key(name))
    if known is not None and key(known) == key(name):
        return known
    draft.junk.discard(key(name))
    draft.spellings[key(name)] = name
    draft.parents[name] = ()
    return name


def _check_name(name: str, where: str) -> None:
    if not key(name):
        raise UsageError(f"{where} has a genre without a letter or digit in its name: “{name}”.")
    if has_separator(name):
        raise UsageError(
            f"{where} has the name “{name}”: tag readers split on ; / , | \\ and so names cannot hold them; "
            "put that spelling into [aliases] of another name."
        )


def _add_aliases(draft: _Draft, aliases: Mapping[str, list[str]], where: str) -> None:
    here: dict[str, str] = {}
    for name, spellings in aliases.items():
        genre = draft.genre(name, where)
        for spelling in spellings:
            wanted = key(spelling)
            other = here.setdefault(wanted, genre)
            if other != genre:
                raise UsageError(f"{where} gives “{spelling}” to both “{other}” and “{genre}”; keep one.")
            current = draft.spellings.get(wanted, genre)
            if current != genre and key(current) == wanted:
                raise UsageError(
                    f"{where} gives “{spelling}” to “{genre}”, but it is a genre itself; to have its parent written "
                    "in its stead, put it into [drop]."
                )
            draft.junk.discard(wanted)
            draft.spellings[wanted] = genre


def _add_junk(draft: _Draft, junk: list[str], aliases: Mapping[str, list[str]], where: str) -> None:
    """Junk wins over a spelling of an earlier file, but a genre of the tree cannot be junk."""
    here = {key(spelling): name for name, spellings in aliases.items() for spelling in spellings}
    for value in junk:
        wanted = key(value)
        genre = draft.spellings.get(wanted)
        if genre is not None and key(genre) == wanted:
            raise UsageError(f"{where} calls “{value}” junk, but it is a genre; to never write it, put it into [drop].")
        if wanted in here:
            raise UsageError(f"{where} calls “{value}” both junk and a spelling of “{here[wanted]}”; keep one.")
        draft.spellings.pop(wanted, None)
        draft.junk.add(wanted)


def _add_output(draft: _Draft, output: Mapping[str, str], where: str) -> None:
    for name, shown in output.items():
        genre = draft.genre(name, where)
        _check_name(shown, where)
        if draft.spellings.get(key(shown), genre) != genre:
            raise UsageError(f"{where} would write “{name}” as “{shown}”, which is another genre; choose another name.")
        draft.output[genre] = shown
        draft.junk.discard(key(shown))
        draft.spellings[key(shown)] = genre


def _finished(draft: _Draft) -> Taxonomy:
    _refuse_cycles(draft.parents)
    content = {
        "parents": list(draft.parents.items()),
        "spellings": sorted(draft.spellings.items()),
        "junk": sorted(draft.junk),
        "weak": sorted(draft.weak),
        "drop": sorted(draft.drop),
        "output": sorted(draft.output.items()),
        "id3v1": draft.id3v1,
    }
    digest = hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
    return Taxonomy(
        labels=tuple(draft.parents),
        roots=tuple(genre for genre, above in draft.parents.items() if not above),
        weak=draft.weak,
        parents=draft.parents,
        spellings=draft.spellings,
        junk=frozenset(draft.junk),
        drop=frozenset(draft.drop),
        output=draft.output,
        fma=draft.fma,
        id3v1=draft.id3v1,
        digest=digest,
    )


def _refuse_cycles(parents: Mapping[str, tuple[str, ...]]) -> None:
    """UsageError if some genre lies above itself."""
    settled: set[str] = set()

    def visit(genre: str, below: tuple[str, ...]) -> None:
        if genre in below:
            circle = " -> ".join((*below[below.index(genre) :], genre))
            raise UsageError(f"The genres go round in a circle ({circle}); take one of these parents away.")
        if genre not in settled:
            for above in parents[genre]:
                visit(above, (*below, genre))
            settled.add(genre)

    for genre in parents:
        visit(genre, ())

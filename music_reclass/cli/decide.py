"""`decide`: your word on the genre of tracks, albums and artists, stored, listed, imported and taken back."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from music_reclass.cli.options import FILE, Choice, choice_flags, setting_flags
from music_reclass.cli.output import cell, complain, emit, plain, print_json, printable, say, shorten_home
from music_reclass.utils.words import counted

if TYPE_CHECKING:
    from music_reclass.cli.session import Session
    from music_reclass.config import Settings
    from music_reclass.domain import Track
    from music_reclass.features.decisions import Decisions
    from music_reclass.features.user_decisions import UserDecision
    from music_reclass.taxonomy import Taxonomy

LEAVE = "leave"  # in the place of a genre, in a list that is imported
_SCOPES = ("track", "album", "artist")
_PROBLEMS_SHOWN = 20


@click.command()
@click.argument("words", nargs=-1, metavar="PATH... GENRE")
@click.option(
    "--scope", type=click.Choice(_SCOPES), default="track", show_default=True,
    help="What it is for: the tracks at PATH alone, their albums, or their artists.",
)  # fmt: skip
@click.option("--leave", is_flag=True, help="Leave the tags alone for good; all words are paths.")
@click.option("--forget", is_flag=True, help="Drop what you decided; the next scan or relabel decides again.")
@click.option("--list", "listing", is_flag=True, help="List what you decided, for all tracks or those at PATH.")
@click.option("--from", "source", type=FILE, metavar="FILE.csv", help="Take the decisions of a list, as said above.")
@click.option("--next", "suggested", type=click.IntRange(1), metavar="N",
              help="List the N tracks whose genre would teach most; decide nothing.")  # fmt: skip
@click.option("--write", is_flag=True, help="Write the genres into the files now: shown, asked about, undone as ever.")
@choice_flags
@setting_flags("on_existing", "profile", "preserve_mtime", "detach_hard_links", "taxonomy", "wait")
def decide(
    *, words: tuple[str, ...], scope: str, leave: bool, forget: bool, listing: bool, source: Path | None,
    suggested: int | None, write: bool, choice: Choice, settings: Settings,
) -> int:  # fmt: skip
    """Decide the genre of the tracks at PATH yourself: reclass decide ~/Music/Album Jazz

    The last word is the genre; several stand in it with ; between them. No model, scan, relabel or album changes it.
    The next scan or apply writes it over whatever genre is there (not with --on-existing keep); --write writes it now.

    A list (--from) has the columns path and genre, and may have scope; or album and artist, or artist alone, in the
    place of path. The genre `leave` leaves the tags alone. Nothing of a list is stored if one line of it is wrong.
    """
    if leave + forget + listing + (source is not None) + (suggested is not None) > 1:
        raise click.UsageError("Say one of --leave, --forget, --list, --from and --next.")
    if source is not None and words:
        raise click.UsageError("--from FILE takes paths and genres from the file; give no others.")
    if listing:
        return _list(settings, _real(words), as_json=choice.as_json)
    if suggested is not None:
        return _suggest(settings, _real(words), suggested, as_json=choice.as_json)
    if source is not None:
        return _import(settings, source, scope, choice, write=write)
    text = None if leave or forget else words[-1] if words else ""
    paths = _real(words if text is None else words[:-1])
    if not paths:
        raise click.UsageError("Name a PATH, and behind it the GENRE: reclass decide ~/Music/Album Jazz")
    if forget:
        return _forget(settings, paths, scope, choice)
    return _decide(settings, paths, text, scope=scope, choice=choice, write=write)


def _real(paths: Sequence[str]) -> list[str]:
    return [os.path.realpath(os.path.expanduser(path)) for path in paths]


def _decide(settings: Settings, paths: list[str], text: str | None, *, scope: str, choice: Choice, write: bool) -> int:
    from music_reclass.cli.ask import author
    from music_reclass.cli.session import writing
    from music_reclass.features.decisions import Decisions

    with writing(settings, "decide", must_exist=True) as work:
        genres = None if text is None else genres_of(text, work.taxonomy)
        decisions = Decisions(work.database)
        tracks = _tracks(decisions, paths)
        dry = choice.dry_run
        stored = 0 if dry else decisions.decide(tracks, genres, "decide", scope=scope, author=author())
        if write and not choice.dry_run:
            return _write(work, lambda: decisions.below(paths), choice, {"paths": paths})
        shown = {"stored": stored, "tracks": len(tracks), "scope": scope, "genres": genres and list(genres)}
        what = "leave the tags alone" if genres is None else ", ".join(genres)
        if choice.dry_run:
            text = f"{what}, for {counted(len(tracks), 'track')}; nothing was stored, as this is a dry run"
        else:
            text = f"{what}: {_for(stored, scope)}, {counted(len(tracks), 'track')} here"
            text += "" if genres is None else "; write it: reclass apply"
        emit(shown, printable(text), choice.as_json, "decided")
    return 0


def _for(stored: int, scope: str) -> str:
    return counted(stored, {"track": "recording"}.get(scope, scope))


def genres_of(text: str, taxonomy: Taxonomy) -> tuple[str, ...]:
    """The genres in one word of the command line, as the taxonomy writes them; click.UsageError names one that it does
    not know, with others that are spelled nearly so."""
    from music_reclass.cli.ask import known_genres

    genres = known_genres(taxonomy.split(text), taxonomy)
    if not genres:
        raise click.UsageError("The last word is the genre, and it is empty.")
    return genres


def _tracks(decisions: Decisions, paths: list[str]) -> list[Track]:
    """The tracks at or below `paths`; NothingToDo where the library has none at one of them."""
    from music_reclass.errors import NothingToDo

    found: dict[int, Track] = {}
    for path in paths:
        here = list(decisions.below([path]))
        if not here:
            raise NothingToDo(f"No track of the library lies at {path}; scan it first (reclass scan PATH).")
        found.update((track.id, track) for track in here)
    return list(found.values())


def _write(work: Session, tracks: Any, choice: Choice, arguments: dict[str, object]) -> int:
    """Write what was decided just now, whatever genre is there."""
    from dataclasses import replace

    from music_reclass.cli.writing import conclude, plan_for

    def chosen() -> Iterator[Track]:
        return (track for track in tracks() if track.decision is not None and track.decision.reason == "chosen")

    plan = plan_for(work, chosen)
    plan = replace(plan, chosen=frozenset(track.id for track in chosen()))
    return conclude(work, plan, choice, command="decide", arguments=arguments)


def _forget(settings: Settings, paths: list[str], scope: str, choice: Choice) -> int:
    from music_reclass.cli.session import writing
    from music_reclass.features.decisions import Decisions
    from music_reclass.features.user_decisions import UserDecisions

    with writing(settings, "decide", must_exist=True) as work:
        decisions, known = Decisions(work.database), UserDecisions(work.database)
        tracks = _tracks(decisions, paths)
        dropped = 0 if choice.dry_run else decisions.withdraw(tracks, scope)
        still = {one.scope: one for track in tracks if (one := known.of(track.digest, track.tags)) is not None}
        if choice.as_json:
            print_json({"forgotten": dropped, "still": sorted(still)})
        elif choice.dry_run:
            say("would", f"drop what holds for {counted(len(tracks), 'track')}; nothing was changed")
        else:
            say("forgotten", f"{counted(dropped, 'decision')}; the next scan or relabel decides again")
            for place, one in still.items():
                if place != scope:
                    say("", printable(f"one for the {place} {one.title!r} still holds: --forget --scope {place}"))
    return 0


def _list(settings: Settings, paths: list[str], *, as_json: bool) -> int:
    from music_reclass.cli.session import reading
    from music_reclass.errors import NothingToDo
    from music_reclass.features.decisions import Decisions
    from music_reclass.features.user_decisions import UserDecisions

    with reading(settings) as library:
        known = UserDecisions(library)
        decisions = known.all()
        if paths:
            here = (known.of(track.digest, track.tags) for track in Decisions(library).below(paths))
            held = {(one.scope, one.key) for one in here if one is not None}
            decisions = [one for one in decisions if (one.scope, one.key) in held]
        counts: dict[tuple[str, str], int] = {}
        for place in known.tracks_of([(one.scope, one.key) for one in decisions]).values():
            counts[place] = counts.get(place, 0) + 1
    if not decisions and not as_json:
        raise NothingToDo("You have decided nothing yet: reclass decide PATH... GENRE, or reclass edit PATH.")
    for one in decisions:
        tracks = counts.get((one.scope, one.key), 0)
        if as_json:
            print_json(as_object(one, tracks))
            continue
        when = time.strftime("%Y-%m-%d", time.localtime(one.decided))
        who = f"{one.author or '?'}, {one.source}"
        what = "leave alone" if one.genres is None else ", ".join(one.genres)
        plain(
            f"{one.scope:<6} {cell(one.title or one.key, 40)} {cell(what, 24)} {tracks:>6,}  {when}  {printable(who)}"
        )
    return 0


def as_object(one: UserDecision, tracks: int) -> dict[str, Any]:
    """A decision as `--json` prints it; `genres` None: leave the tags alone."""
    return {
        "scope": one.scope, "title": one.title, "genres": None if one.genres is None else list(one.genres),
        "tracks": tracks, "source": one.source, "author": one.author, "decided": one.decided, "key": one.key,
    }  # fmt: skip


def _suggest(settings: Settings, paths: list[str], count: int, *, as_json: bool) -> int:
    from music_reclass.cli.session import reading
    from music_reclass.errors import NothingToDo
    from music_reclass.features.decisions import Decisions
    from music_reclass.report.text import percent
    from music_reclass.training.review import review_order

    with reading(settings) as library:
        found = Decisions(library).tracks(review_order(library, count, paths))
    if not found:
        raise NothingToDo("Nothing is left to decide here: every track with votes was decided by you.")
    for track in found:
        guesses = track.decision.votes[-1].top(3) if track.decision is not None and track.decision.votes else []
        if as_json:
            print_json({"path": track.path, "guesses": dict(guesses), "before": track.tags.genres})
        else:
            shown = ", ".join(f"{genre} {percent(share)}" for genre, share in guesses)
            plain(f"{printable(shorten_home(track.path))}  {printable(shown)}")
    return 0


# --- lists ---------------------------------------------------------------------------------------------------


def _import(settings: Settings, file: Path, scope: str, choice: Choice, *, write: bool) -> int:
    """Store every decision of a CSV file, or none where a line is wrong: each of those is named."""
    from music_reclass.cli.session import writing
    from music_reclass.errors import UsageError
    from music_reclass.features.decisions import Decisions
    from music_reclass.features.user_decisions import UserDecisions

    with writing(settings, "decide", must_exist=True) as work:
        decisions = Decisions(work.database)
        found, problems = _read_list(file, scope, decisions, work.taxonomy)
        if problems:
            for line, why in problems[:_PROBLEMS_SHOWN]:
                complain(printable(f"{file.name}:{line}: {why}"))
            if len(problems) > _PROBLEMS_SHOWN:
                complain(f"and {counted(len(problems) - _PROBLEMS_SHOWN, 'more line')}")
            raise UsageError(f"Nothing was stored: {counted(len(problems), 'line')} of {file.name} cannot be used.")
        if not choice.dry_run:
            decisions.store_user_decisions(found)
        if write and not choice.dry_run:
            meant = set(UserDecisions(work.database).tracks_of((one.scope, one.key) for one in found))
            listed = lambda: (track for track in decisions.below() if track.id in meant)  # noqa: E731
            return _write(work, listed, choice, {"from": str(file)})
        stored = 0 if choice.dry_run else len(found)
        text = f"{counted(len(found), 'decision')} of {file.name}"
        text += "; nothing was stored, as this is a dry run" if choice.dry_run else "; write them: reclass apply"
        emit({"stored": stored, "decisions": len(found)}, printable(text), choice.as_json, "decided")
    return 0


def _read_list(
    file: Path, scope: str, decisions: Decisions, taxonomy: Taxonomy
) -> tuple[list[UserDecision], list[tuple[int, str]]]:
    """The decisions of a CSV file, and the number and fault of each line that is none."""
    from music_reclass.cli.ask import author
    from music_reclass.features.user_decisions import UserDecision

    now, who, source = time.time(), author(), f"list {file.name}"
    names = _Names(decisions)
    found: dict[tuple[str, str], UserDecision] = {}
    lines: dict[tuple[str, str], int] = {}
    problems: list[tuple[int, str]] = []
    for number, row in _rows(file):
        try:
            genres = _genres_of_row(row, taxonomy)
            for place, title in names.meant(row, scope, file.parent):
                one = UserDecision(*place, genres, source, now, who, title)
                if place in found and found[place].genres != genres:
                    raise click.UsageError(
                        f"line {lines[place]} says {found[place].genres or LEAVE} of the same {place[0]}"
                    )
                found[place], lines[place] = one, number
        except click.UsageError as error:
            problems.append((number, error.message))
    return list(found.values()), problems


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a CSV file below its header, with their numbers; UsageError for a file that is no such list."""
    from music_reclass.errors import UsageError

    name = printable(str(file))
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"The list {name} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"The list {name} is not in UTF-8; save it as CSV in UTF-8.") from error
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter, restval="", strict=True)
    columns = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = columns
    if not {"genre", "genres"} & set(columns) or not {"path", "album", "artist"} & set(columns):
        raise UsageError(f"{file} needs the columns path (or album and artist) and genre in its first line.")
    try:
        for row in reader:
            values = {name: (value or "").strip() for name, value in row.items() if name is not None}
            if any(values.values()):
                yield reader.line_num, values
    except csv.Error as error:
        raise UsageError(f"{file.name}:{reader.line_num}: {error}.") from error


def _genres_of_row(row: dict[str, str], taxonomy: Taxonomy) -> tuple[str, ...] | None:
    text = row.get("genre") or row.get("genres") or ""
    if not text:
        raise click.UsageError("no genre is named")
    return None if text.lower() == LEAVE else genres_of(text, taxonomy)


class _Names:
    """What the lines of a list mean in the library: tracks by path, albums and artists by name."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self._known: dict[str, set[str]] | None = None

    def meant(self, row: dict[str, str], scope: str, folder: Path) -> Iterator[tuple[tuple[str, str], str]]:
        """Scope and key of each thing that a line means, and its title; click.UsageError where it means nothing."""
        from music_reclass.domain import TrackTags
        from music_reclass.features.user_decisions import keys_of, title_of

        scope = row.get("scope", "").lower() or scope
        if scope not in _SCOPES:
            raise click.UsageError(f"there is no scope {scope!r}; there are {', '.join(_SCOPES)}")
        if path := _without_apostrophe(row.get("path", "")):
            place = os.path.realpath(folder / os.path.expanduser(path))
            tracks = list(self._decisions.below([place]))
            if not tracks:
                raise click.UsageError(f"no track of the library lies at {path}")
            for track in tracks:
                keys = keys_of(track.digest, track.tags)
                if scope not in keys:
                    raise click.UsageError(f"the tags of {path} name no {scope}")
                yield (scope, keys[scope]), title_of(scope, track.path, track.tags)
            return
        artist, album = row.get("artist", ""), row.get("album", "")
        tags = TrackTags(artist=artist, album_artist=artist, album=album, compilation=not artist)
        scope = "album" if album else "artist"
        key = keys_of(None, tags).get(scope, "")
        if not key or key not in self._in_library(scope):
            raise click.UsageError(f"the library has no {scope} {' - '.join(filter(None, (artist, album))) or row!r}")
        yield (scope, key), title_of(scope, "", tags)

    def _in_library(self, scope: str) -> set[str]:
        from music_reclass.features.user_decisions import keys_of

        if self._known is None:
            self._known = {name: set() for name in _SCOPES}
            for track in self._decisions.below():
                for name, key in keys_of(track.digest, track.tags).items():
                    self._known[name].add(key)
        return self._known[scope]


def _without_apostrophe(path: str) -> str:
    """`export` puts an apostrophe before a text that spreadsheets would take for a formula."""
    return path[1:] if path.startswith(("'=", "'+", "'-", "'@")) else path

"""`scan --ask` and `edit`: album by album, accept what was found, choose another genre, or leave the tags alone."""

from __future__ import annotations

import os
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from music_reclass.cli.options import Choice, choice_flags, setting_flags
from music_reclass.cli.output import emit, plain, printable, shorten_home, styled

if TYPE_CHECKING:
    from music_reclass.cli.session import Session
    from music_reclass.config import Settings
    from music_reclass.domain import Track
    from music_reclass.features.decisions import Decisions
    from music_reclass.tagging.apply import WritePlan
    from music_reclass.tagging.policy import Proposal
    from music_reclass.taxonomy import Taxonomy

Row = tuple["Track", "Proposal | None"]

ACCEPT, CHANGE, LEAVE, NEVER, QUIT = "accept", "change", "leave", "never", "quit"
_KEYS = {word[0]: word for word in (ACCEPT, CHANGE, LEAVE, NEVER, QUIT)}
_QUESTION = "[a]ccept, [c]hange, [l]eave, [n]ever ask, [q]uit?"
_SHOWN = 12  # tracks of an album
_PAGE = 500  # tracks in memory at a time
FIRST_ASKED = 500  # informative tracks whose albums come first


class Answers(NamedTuple):
    """The tracks that are to be written: as proposed, and with a genre that was chosen just now."""

    accepted: set[int]
    chosen: set[int]


def ask_albums(
    work: Session,
    plan: WritePlan,
    source: str,
    *,
    everything: bool = False,
    dry_run: bool = False,
    order: Sequence[int] = (),
) -> WritePlan:
    """Ask about every album of the plan that has something to decide, or about `everything`; the plan of what is to be
    written then. Albums with tracks of `order` come first, in that order. Choices are stored at once, unless this is a
    dry run, and hold over later scans."""
    from music_reclass.features.decisions import Decisions

    decisions, answers, asked = Decisions(work.database), Answers(set(), set()), array("q")
    for rows in _albums(plan, decisions, everything, order):
        if work.stop:
            break
        _show(rows)
        word = _answer()
        if word == QUIT:
            break
        tracks = [track for track, _ in rows]
        asked.extend(track.id for track in tracks)
        if word == ACCEPT:
            answers.accepted.update(track.id for track, proposal in rows if proposal is not None and proposal.writes)
        elif dry_run and word in (NEVER, CHANGE):
            plain("  not stored, as this is a dry run")
        elif word == NEVER:
            decide(work, tracks, None, source)
        elif word == CHANGE and (genres := _genres(work.taxonomy)):
            decide(work, tracks, genres, source)
            answers.chosen.update(track.id for track in tracks)
    wanted = answers.accepted | answers.chosen
    pages = [asked[start : start + _PAGE] for start in range(0, len(asked), _PAGE)]
    answered = [array("q", filter(wanted.__contains__, page)) for page in pages]
    return replace(
        plan,
        tracks=lambda: (track for page in answered for track in decisions.tracks(page)),
        chosen=frozenset(answers.chosen),
    )


def chosen_plan(plan: WritePlan, answers: Answers) -> WritePlan:
    """The part of the plan that was answered with a genre."""
    wanted = answers.accepted | answers.chosen
    return replace(
        plan,
        tracks=lambda: (track for track in plan.tracks() if track.id in wanted),
        chosen=frozenset(answers.chosen),
    )


def decide(
    work: Session, tracks: Sequence[Track], genres: Sequence[str] | None, source: str, *, scope: str = "album"
) -> None:
    """Store what the user said of these tracks, for their albums or whatever `scope` says, else for each track; it
    holds for the stored decisions at once."""
    from music_reclass.features.decisions import Decisions

    Decisions(work.database).decide(tracks, genres, source, scope=scope, author=author())


def author() -> str:
    """The login name of who decides; "" where the system knows none."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _albums(plan: WritePlan, decisions: Decisions, everything: bool, order: Sequence[int]) -> Iterator[list[Row]]:
    """The tracks of each album, or of each folder where no album is named, of which there is something to decide; read
    again when their turn comes, so that a large library is not in memory."""
    from music_reclass.features.user_decisions import ALBUM, keys_of

    groups: dict[str, array[int]] = {}
    is_open: set[str] = set()
    for track, proposal in ((track, None) for track in plan.tracks()) if everything else plan:
        if track.decision is not None and track.error is None:
            name = keys_of(track.digest, track.tags).get(ALBUM) or os.path.dirname(track.path)
            groups.setdefault(name, array("q")).append(track.id)
            if everything or _is_open(track, proposal):
                is_open.add(name)
    place = {track: number for number, track in enumerate(order)}
    for name, numbers in sorted(
        groups.items(), key=lambda group: min(place.get(number, len(place)) for number in group[1])
    ):
        if name in is_open:
            tracks = decisions.tracks(numbers)
            yield list(replace(plan, tracks=tracks.__iter__))


def _is_open(track: Track, proposal: Proposal | None) -> bool:
    """Whether somebody may want to decide: a genre would be written, another one is there, or none was found."""
    from music_reclass.domain import Outcome, Relation

    if proposal is None or track.decision is None or track.decision.reason in ("chosen", "left"):
        return False
    return proposal.writes or proposal.relation is Relation.CONFLICT or track.decision.outcome is Outcome.UNSURE


def _show(rows: Sequence[Row]) -> None:
    from music_reclass.report.text import counted, percent
    from music_reclass.tagging.apply import shown

    first = rows[0][0]
    names = " - ".join(part for part in (first.tags.album_artist or first.tags.artist, first.tags.album) if part)
    folder = shorten_home(os.path.dirname(first.path))
    plain(f"\n{styled(names or folder, 'bold')}  ({counted(len(rows), 'track')})")
    if names:
        plain(f"  {printable(folder)}")
    for track, proposal in rows[:_SHOWN]:
        decision = track.decision
        assert decision is not None  # `_albums` leaves others out
        if decision.genres:
            found = f"{', '.join(decision.genres)} {percent(decision.confidence)}"
        else:
            guesses = decision.votes[-1].top(2) if decision.votes else []
            found = "not sure: " + " or ".join(f"{genre} {percent(p)}" for genre, p in guesses)
        mark = "->" if proposal is not None and proposal.writes else "  "
        name = printable(os.path.basename(track.path))[:40]
        plain(f"    {name:<40} {printable(shown(track.tags.genres))[:24]:<24} {mark} {printable(found)}")
    if len(rows) > _SHOWN:
        plain(f"    and {len(rows) - _SHOWN:,} more")
    common = Counter(proposal.shown for _, proposal in rows if proposal is not None and proposal.writes)
    text = ", ".join(f"{printable(written)} into {count:,}" for written, count in common.most_common(3))
    plain(f"  accept writes {text or 'nothing'}")


def _answer() -> str:
    """What somebody says of an album; `quit` at the end of input."""
    while True:
        key = _key(_QUESTION)
        if key is None:
            return QUIT
        if key[:1].lower() in _KEYS:
            return _KEYS[key[:1].lower()]
        plain(
            "accept: write what is shown; change: choose the genre; leave: not now; never ask: leave these tags alone "
            "for good; quit: write what was accepted so far."
        )


def _key(question: str) -> str | None:
    """One key where the terminal gives single ones, else a line; None at the end of input."""
    from music_reclass.utils.progress import waiting_for_answer

    raw = sys.stdin.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")
    if not raw:
        return _line(question)
    with waiting_for_answer():
        plain(f"  {question}")
        key = _single_key()
    if key == "\x03":  # Ctrl-C, as single keys come
        raise KeyboardInterrupt
    return None if key in ("\x04", "") else key


def _single_key() -> str:
    """One key; OSError where the terminal is gone."""
    if sys.platform == "win32":
        return click.getchar()
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    try:
        before = termios.tcgetattr(descriptor)
        try:
            tty.setraw(descriptor, termios.TCSADRAIN)  # keeps what was typed ahead
            return os.read(descriptor, 16).decode(errors="replace")
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
    except termios.error as error:
        raise OSError(*error.args) from error


def _line(question: str) -> str | None:
    from music_reclass.utils.progress import waiting_for_answer

    with waiting_for_answer():
        plain(f"  {question}")
        line = sys.stdin.readline()
    return line.strip() if line else None


def _genres(taxonomy: Taxonomy) -> tuple[str, ...]:
    """Genres that somebody types, as the taxonomy writes them; () where nothing is chosen."""
    while line := _line("genre (several with commas between; Enter: none)"):
        try:
            return known_genres(line.split(","), taxonomy)
        except click.UsageError as error:
            plain(printable(error.message))
    return ()


def known_genres(names: Iterable[str], taxonomy: Taxonomy) -> tuple[str, ...]:
    """The genres of these names as the taxonomy writes them; click.UsageError names one that it does not know."""
    import difflib

    found: list[str] = []
    for name in (name.strip() for name in names if name.strip()):
        genre = taxonomy.canonical(name)
        if genre is None:
            near = difflib.get_close_matches(name.title(), list(taxonomy.parents), n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else "; reclass genres list shows all."
            raise click.UsageError(f"There is no genre {name!r}{hint}")
        found.append(taxonomy.written(genre) or genre)
    return tuple(dict.fromkeys(found))


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--genre", "genres", multiple=True, metavar="GENRE", help="Choose this genre without asking; repeatable.")
@click.option("--leave", is_flag=True, help="Leave the tags alone for good, without asking.")
@click.option("--clear", is_flag=True, help="Drop what you decided before; the next scan decides again.")
@click.option(
    "--scope", type=click.Choice(["track", "album", "artist"]), default="album", show_default=True,
    help="What --genre, --leave and --clear are for: the tracks alone, their albums, or their artists.",
)  # fmt: skip
@click.option(
    "--order", type=click.Choice(["path", "informative"]), default="path", show_default=True,
    help="Which albums are asked about first: by path, or those whose answer would teach a model most.",
)  # fmt: skip
@choice_flags
@setting_flags("min_confidence", "on_existing", "profile", "preserve_mtime", "detach_hard_links", "taxonomy", "wait")
def edit(
    paths: tuple[Path, ...], genres: tuple[str, ...], leave: bool, clear: bool, scope: str, order: str, choice: Choice,
    settings: Settings,
) -> int:  # fmt: skip
    """Decide yourself about the tracks below PATHS that were scanned before, album by album.

    What you choose is written through the journal and holds over every later scan and relabel.
    """
    from music_reclass.cli.session import writing
    from music_reclass.cli.writing import conclude, plan_for
    from music_reclass.errors import NothingToDo
    from music_reclass.features.decisions import Decisions
    from music_reclass.training.review import review_order
    from music_reclass.utils.words import counted

    if (bool(genres) + leave + clear) > 1:
        raise click.UsageError("Say one of --genre, --leave and --clear.")
    folders = [os.path.realpath(path) for path in paths]
    with writing(settings, "edit", must_exist=True) as work:
        decisions = Decisions(work.database)
        if next(decisions.below(folders), None) is None:
            raise NothingToDo("No track of the library lies there; scan it first (reclass scan PATH).")
        tracks = list(decisions.below(folders)) if genres or leave or clear else []
        plan = plan_for(work, lambda: decisions.below(folders))
        if not (genres or leave or clear):
            first = review_order(work.database, FIRST_ASKED, folders) if order == "informative" else ()
            plan = ask_albums(work, plan, "edit", everything=True, dry_run=choice.dry_run, order=first)
            choice = Choice(choice.dry_run, yes=True)
        elif choice.dry_run:
            nothing = "nothing was stored, as this is a dry run"
            emit({"stored": False, "tracks": len(tracks)}, nothing, choice.as_json, "edit")
            return 0
        elif clear:
            dropped = decisions.withdraw(tracks, scope)
            text = f"{counted(dropped, 'decision')}; the next scan or relabel decides again"
            emit({"cleared": dropped}, text, choice.as_json, "cleared")
            return 0
        else:
            chosen = known_genres(genres, work.taxonomy) if genres else None
            decide(work, tracks, chosen, "edit", scope=scope)
            plan = chosen_plan(plan, Answers(set(), {track.id for track in tracks} if chosen else set()))
        return conclude(work, plan, choice, command="edit", arguments={"paths": folders})

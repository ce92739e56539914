"""The style is a field of its own: written beside the genre or alone, taken back to the byte, never over the user's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mutagen
import mutagen.flac
import mutagen.id3
import pytest

from music_reclass.containers.edits import STYLE, EditedFile
from music_reclass.containers.mp4 import Mp4
from music_reclass.containers.sniff import payload_digest, sniff
from music_reclass.errors import FailTrack
from music_reclass.features.database import Database
from music_reclass.features.journal import Change, DamagedChange, Journal
from music_reclass.tagging.commit import replace_file
from music_reclass.tagging.read import all_tags, read_tags
from music_reclass.tagging.rewrite import IN_ID3, write_genres, write_tags
from music_reclass.tagging.undo import recover, undo
from tests.containers.test_formats import GENRES
from tests.tagging.samples import FIXED, KINDS, SUFFIX_OF_KIND, tagged
from tests.tagging.test_undo import counted, edit_title
from tests.tagging.test_undo_recovery import KILLS, in_a_child, killed_at, reopened

Place = Callable[..., Path]
CASES = [(kind, before) for kind in KINDS for before in (("absent",) if kind in FIXED else GENRES)]
WITH_ID3 = [kind for kind in KINDS if kind in ("mp3 v2.3", "mp3 v2.4", "mp3 v2.3 ape", "aiff", "wav", "tta")]
NEVER_ALONE = ("mp3 untagged", "mp3 v1", "mp3 ape", "mp3 ape v1", "mp3 gain", "wav bare", "wav info", "wav odd")
NEVER_ALONE += ("rf64", "aiff bare")


def style_of(path: Path) -> tuple[str, ...] | None:
    with path.open("rb") as file:
        return all_tags(file, sniff(file)).style


def write(journal: Journal, path: Path, genres: tuple[str, ...], style: str, **options: Any) -> int:
    run = journal.begin_run("apply", {})

    def ours(held: tuple[str, ...]) -> bool:
        return journal.wrote_style(str(path), held)

    replace_file(journal, run, path, write_tags(genres, style, ours), **options)
    return run


def changes(journal: Journal) -> list[Change]:
    return [one for run in journal.runs() for one in journal.changes_of(run.id) if isinstance(one, Change)]


@pytest.mark.parametrize(("kind", "before"), CASES)
def test_genre_and_style_are_written_in_one_change_and_every_byte_comes_back(
    tmp_path: Path, kind: str, before: str
) -> None:
    journal = Journal(Database(":memory:"))
    path = tmp_path / f"tune{SUFFIX_OF_KIND[kind]}"
    path.write_bytes(tagged(kind, GENRES[before]))
    sound, genres = payload_digest(path), read_tags(path).genres
    run = write(journal, path, ("Rock", "Jazz"), "Ska Pünk")
    assert (read_tags(path).genres, style_of(path)) == (("Rock", "Jazz"), ("Ska Pünk",))
    assert payload_digest(path) == sound
    (change,) = changes(journal)
    assert (change.intention.after, change.state) == (("Rock", "Jazz"), "written")
    assert change.intention.before in (genres, ())
    assert change.intention.style is not None
    assert (change.intention.style.before, change.intention.style.after) == (None, ("Ska Pünk",))
    assert not change.intention.style.alone
    assert counted(undo(journal, run)) == {"restored": 1}
    assert path.read_bytes() == tagged(kind, GENRES[before])
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", KINDS)
def test_the_style_alone_leaves_the_genre_to_the_byte(journal: Journal, place: Place, kind: str) -> None:
    path = place(kind)
    genres, old = read_tags(path).genres, path.read_bytes()
    run = write(journal, path, (), "Punk")
    if kind in NEVER_ALONE:
        assert path.read_bytes() == old  # a new ID3v2 tag with a style alone would hide the genre of the others
        return
    assert (read_tags(path).genres, style_of(path)) == (genres, ("Punk",))
    assert changes(journal)[0].intention.style is not None
    assert changes(journal)[0].intention.style.alone  # type: ignore[union-attr]
    assert counted(undo(journal, run)) == {"restored": 1}
    assert path.read_bytes() == old


def test_kinds_whose_style_is_never_written_alone_have_no_id3v2_tag(place: Place) -> None:
    for kind in KINDS:
        path = place(kind)
        with path.open("rb") as file:
            layout = sniff(file)
            bare = layout.container in IN_ID3 and all_tags(file, layout).version is None
        assert bare == (kind in NEVER_ALONE), kind


@pytest.mark.parametrize("kind", KINDS)
def test_a_style_of_the_user_stays_whatever_is_written(journal: Journal, place: Place, kind: str) -> None:
    path = place(kind)
    foreign = Journal(Database(":memory:"))
    write(foreign, path, ("Other",), "Grunge")  # of somebody else, as far as this journal knows
    assert style_of(path) == ("Grunge",)
    run = write(journal, path, ("Rock",), "Punk")
    assert (read_tags(path).genres, style_of(path)) == (("Rock",), ("Grunge",))
    assert changes(journal)[0].intention.style is None
    before = path.read_bytes()
    write(journal, path, (), "Punk")
    assert path.read_bytes() == before
    undo(journal, run)
    assert style_of(path) == ("Grunge",)


@pytest.mark.parametrize("kind", KINDS)
def test_a_style_written_here_is_replaced_and_both_are_taken_back(journal: Journal, place: Place, kind: str) -> None:
    path = place(kind)
    old = path.read_bytes()
    first = write(journal, path, ("Rock",), "Ska Pünk")
    between = path.read_bytes()
    second = write(journal, path, (), "Grunge")
    assert style_of(path) == ("Grunge",)
    assert counted(undo(journal, second)) == {"restored": 1}
    assert path.read_bytes() == between
    assert counted(undo(journal, first)) == {"restored": 1}
    assert path.read_bytes() == old


# The tag library, which plays the other program, finds no list in QuickTime's `meta`: its edit would drop the genre.
@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if "quicktime" not in kind])
def test_after_a_foreign_edit_genre_and_style_alone_come_back(
    journal: Journal, place: Place, kind: str, alone: bool
) -> None:
    if alone and kind in NEVER_ALONE:
        return
    path = place(kind)
    genres = read_tags(path).genres
    run = write(journal, path, () if alone else ("Rock",), "Punk")
    edit_title(path)
    assert style_of(path) == ("Punk",)
    assert counted(undo(journal, run)) == {"field": 1}
    assert (read_tags(path).genres, style_of(path)) == (genres, None)
    assert read_tags(path).title[:3] == "B T"
    assert counted(undo(journal, run)) == {}


def set_by_user(path: Path, **fields: str) -> None:
    file = mutagen.flac.FLAC(path)
    for name, value in fields.items():
        file[name] = [value]
    file.save()


@pytest.mark.parametrize(
    ("edited", "after", "said"),
    [
        ({"style": "Ska"}, (("Other",), ("Ska",)), "only its genre is as before"),
        ({"genre": "Ska"}, (("Ska",), None), "only its style is as before"),
    ],
)
def test_of_two_fields_the_one_that_somebody_changed_since_stays(
    journal: Journal, place: Place, edited: dict[str, str], after: object, said: str
) -> None:
    path = place("flac")
    run = write(journal, path, ("Rock",), "Punk")
    set_by_user(path, **edited)
    report = undo(journal, run)
    assert counted(report) == {"field": 1}
    assert (read_tags(path).genres, style_of(path)) == after
    assert said in report.problems[0].detail
    assert "was changed since (now Ska)" in report.problems[0].detail


def test_a_style_changed_since_is_left_unless_forced(journal: Journal, place: Place) -> None:
    path = place("flac")
    run = write(journal, path, (), "Punk")
    set_by_user(path, style="Ska")
    report = undo(journal, run)
    assert (counted(report), style_of(path)) == ({"left": 1}, ("Ska",))
    assert report.problems[0].detail.startswith("its style was changed since (now Ska); --force")
    assert counted(undo(journal, run, force=True)) == {"field": 1}
    assert style_of(path) is None


def test_a_genre_changed_after_a_style_was_written_alone_is_none_of_the_undo(journal: Journal, place: Place) -> None:
    path = place("flac")
    run = write(journal, path, (), "Punk")
    set_by_user(path, genre="Ska")
    assert counted(undo(journal, run, force=True)) == {"field": 1}
    assert (read_tags(path).genres, style_of(path)) == (("Ska",), None)


def test_a_style_brought_back_by_hand_is_only_marked(journal: Journal, place: Place) -> None:
    path = place("flac")
    run = write(journal, path, (), "Punk")
    file = mutagen.flac.FLAC(path)
    del file["style"]
    file["title"] = "B Title"
    file.save()
    assert counted(undo(journal, run)) == {"already": 1}
    assert changes(journal)[-1].state == "undone"


@pytest.mark.parametrize("kind", ["mp3 v2.3", "aac tight", "vorbis full page"])
@pytest.mark.parametrize("step", KILLS)
def test_a_write_of_both_killed_at_any_step_is_settled(database_path: Path, place: Place, step: str, kind: str) -> None:
    path = place(kind)
    old = path.read_bytes()
    in_a_child(lambda: write(reopened(database_path), path, ("Rock",), "Punk", after_step=killed_at(step)) and None)
    journal = reopened(database_path)
    recover(journal)
    assert os.listdir(path.parent) == [path.name]
    assert list(journal.open_changes()) == []
    replaced = step in ("replace", "sync folder", "confirm", "before the folder is synced")
    both = (read_tags(path).genres, style_of(path))
    assert both == ((("Rock",), ("Punk",)) if replaced else (("Other",), None))
    if replaced:
        undo(journal, max(one.run for one in changes(journal)))
    assert path.read_bytes() == old
    journal.database.close()


@pytest.mark.parametrize("kind", WITH_ID3)
def test_another_user_text_of_id3_is_no_style(journal: Journal, place: Place, kind: str) -> None:
    path = place(kind)
    file: Any = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    file.tags.add(mutagen.id3.TXXX(encoding=3, desc="STYLE2", text=["Loud"]))
    file.tags.add(mutagen.id3.TXXX(encoding=1, desc="MY STYLE", text=["Old"]))
    file.save()
    write(journal, path, ("Rock",), "Punk")
    tags: Any = mutagen.File(path).tags
    assert [tags[f"TXXX:{name}"].text for name in ("STYLE2", "MY STYLE", "STYLE")] == [["Loud"], ["Old"], ["Punk"]]


@pytest.mark.parametrize("spelling", ["style", "Style", "STYLE"])
@pytest.mark.parametrize("kind", ["mp3 v2.4", "mp3 v2.3", "flac", "vorbis", "aac", "wavpack", "wma"])
def test_a_style_is_found_in_any_spelling(journal: Journal, place: Place, kind: str, spelling: str) -> None:
    path = place(kind)
    file: Any = mutagen.File(path)
    if kind.startswith("mp3"):
        file.tags.add(mutagen.id3.TXXX(encoding=1, desc=spelling, text=["Ünique", "Two"]))
    elif kind == "aac":
        file.tags[f"----:com.apple.iTunes:{spelling}"] = ["Ünique".encode(), b"Two"]
    else:
        file.tags[spelling] = ["Ünique", "Two"]
    file.save()
    assert style_of(path) == ("Ünique", "Two")
    write(journal, path, ("Rock",), "Punk")
    assert (read_tags(path).genres, style_of(path)) == (("Rock",), ("Ünique", "Two"))


def test_a_style_that_cannot_be_parsed_is_left(journal: Journal, place: Place) -> None:
    path = place("mp3 v2.4")
    tag = mutagen.id3.ID3(path)
    tag.add(mutagen.id3.TXXX(encoding=3, desc="STYLE", text=["Grunge"]))
    tag.save()
    data = path.read_bytes()
    at = data.index(b"\x03STYLE\0Grunge")
    path.write_bytes(data[: at - 1] + b"\x02" + data[at:])  # flagged as unsynchronised: read, and never written
    assert style_of(path) == ("Grunge",)
    write(journal, path, ("Rock",), "Punk")
    assert style_of(path) == ("Grunge",)


def test_a_style_in_apev2_alone_is_repeated_in_a_new_id3v2_tag(journal: Journal, place: Place) -> None:
    import mutagen.apev2

    path = place("mp3 ape")
    tag = mutagen.apev2.APEv2(path)
    tag["Style"] = "Grunge"
    tag.save(path)
    write(journal, path, ("Rock",), "Punk")
    assert style_of(path) == ("Grunge",)
    assert mutagen.id3.ID3(path)["TXXX:Style"].text == ["Grunge"]


def test_a_style_in_apev2_that_is_no_text_stays(journal: Journal, place: Place) -> None:
    import mutagen.apev2

    path = place("wavpack")
    tag = mutagen.apev2.APEv2(path)
    tag["Style"] = mutagen.apev2.APEValue(b"\1\2", mutagen.apev2.BINARY)
    tag.save(path)
    write(journal, path, ("Rock",), "Punk")
    assert read_tags(path).genres == ("Rock",)
    assert mutagen.apev2.APEv2(path)["Style"].value == b"\1\2"


def test_an_item_of_m4a_that_names_itself_and_does_not_add_up_is_no_style(place: Place) -> None:
    path = place("aac")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\x00\x00\x00\x1cmean", b"\x00\x00\x70\x1cmean"))
    assert path.read_bytes() != data
    with path.open("rb") as file:
        assert Mp4(file, sniff(file), STYLE).genre_field() == ()


def test_a_damaged_row_says_nothing_of_who_wrote_a_style(journal: Journal, place: Place) -> None:
    path = place("flac")
    write(journal, path, (), "Punk")
    journal.database.connection.execute("UPDATE change SET style = '{broken'")
    assert not journal.wrote_style(str(path), ("Punk",))
    (row,) = [one for run in journal.runs() for one in journal.changes_of(run.id)]
    assert isinstance(row, DamagedChange)
    write(journal, path, (), "Grunge")
    assert style_of(path) == ("Punk",)


def test_a_write_of_the_genre_that_would_change_the_style_is_refused(place: Place) -> None:
    path = place("flac")
    set_by_user(path, style="Grunge")
    with path.open("rb") as file:
        plan = write_genres(["Rock"])(file, path)
        edited = EditedFile(file, plan.edits).readall()
    changed = path.with_name("changed.flac")
    changed.write_bytes(edited.replace(b"=Grunge", b"=Grange"))
    with changed.open("rb") as copy, pytest.raises(FailTrack, match="other tags"):
        plan.check(copy)
    changed.write_bytes(edited)
    with changed.open("rb") as copy:
        plan.check(copy)


def test_nothing_and_blanks_are_a_programming_error() -> None:
    for genres, style in (((), ""), (("Rock",), " "), ((), "a\0b"), (("",), "Punk")):
        with pytest.raises(ValueError, match="not a list"):
            write_tags(genres, style)

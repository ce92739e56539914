"""`reclass audit` finds swapped tags of a library, and --fix writes them by way of plan, journal and undo."""

import json
from pathlib import Path

import numpy as np
import pytest

from music_reclass.containers.sniff import payload_digest
from music_reclass.domain import Track, TrackTags
from music_reclass.extractors.audio.synthesis import encode, song
from music_reclass.features.database import Database
from music_reclass.features.library import Library
from music_reclass.models import bundle as bundles
from music_reclass.models.dataset import fma518
from music_reclass.tagging.read import read_tags
from music_reclass.training.npz import PUBLISHED
from tests.library import Shell, digests
from tests.training.making import learnable

pytest.importorskip("sklearn")
WRONG = (3, 20, 41, 60)


@pytest.fixture
def tagged(shell: Shell, tmp_path: Path) -> Path:
    """A library of 80 tracks, ten albums, four tags of which are wrong; one tune under every name."""
    from mutagen.flac import FLAC

    rows, genres = learnable(80, ("Rock", "Jazz", "Folk", "Blues"))
    folder = tmp_path / "Music"
    folder.mkdir()
    encode(folder / "tune.flac", song(seed=1, seconds=3))
    tune = (folder / "tune.flac").read_bytes()
    (folder / "tune.flac").unlink()
    readings = []
    for number in range(80):
        path = folder / f"album {number // 8}" / f"{number:02}.flac"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(tune)
        genre = "Blues" if number in WRONG and genres[number] != "Blues" else genres[number]
        genre = "Rock" if number in WRONG and genres[number] == "Blues" else genre
        file = FLAC(path)
        file.update({"genre": genre, "artist": f"artist {number // 2}", "album": f"album {number // 8}"})
        file.save()
        status = path.stat()
        tags = TrackTags((genre,), artist=f"artist {number // 2}", album=f"album {number // 8}")
        digest = payload_digest(path)
        readings.append(Track(str(path), status.st_size, status.st_mtime_ns, digest, 3.0, tags, (), rows[number]))
    database = Database(shell.db)
    Library(database).save(readings, bundles.embedded().kinds[0])
    database.close()
    return folder


def test_swapped_tags_are_listed_with_the_genre_they_should_be(shell: Shell, tagged: Path) -> None:
    assert shell("audit", "--json") == 0

    found = {int(Path(row["path"]).stem): row for row in shell.objects()}
    assert set(WRONG) <= set(found)
    assert len(found) <= 6
    genres = ("Rock", "Jazz", "Folk", "Blues")
    assert all(found[number]["suggested"] == genres[number % 4] for number in WRONG)
    assert 0.5 <= found[WRONG[0]]["expected_precision"] <= 1


def test_the_text_groups_by_album_and_says_what_the_list_is_worth(shell: Shell, tagged: Path) -> None:
    assert shell("audit", tagged / "album 0") == 0

    assert "of such a list are wrong, between" in shell.out
    assert "of your tags swapped on purpose" in shell.out
    assert "album 0" in shell.out
    assert "album 2\n" not in shell.out


def test_fix_writes_and_undo_gives_every_byte_back(shell: Shell, tagged: Path) -> None:
    before = digests(tagged)
    assert shell("audit", "--fix", "--on-existing", "replace-conflict", "--dry-run") == 0
    assert digests(tagged) == before
    assert shell("audit", "--fix", "--on-existing", "replace-conflict", "--yes") == 0

    after = digests(tagged)
    changed = {name for name in before if before[name] != after[name]}
    assert {f"album {number // 8}/{number:02}.flac" for number in WRONG} <= changed
    assert read_tags(tagged / "album 0" / "03.flac").genres == ("Blues",)
    assert shell("undo", "--yes") == 0
    assert digests(tagged) == before


@pytest.mark.parametrize("policy", [(), ("--on-existing", "keep"), ("--on-existing", "replace-junk")])
def test_fix_replaces_no_genre_unless_on_existing_says_so(shell: Shell, tagged: Path, policy: tuple[str, ...]) -> None:
    before = digests(tagged)
    assert shell("audit", "--fix", "--yes", *policy) == 0
    assert digests(tagged) == before
    assert "leaves it alone; to let audit replace it: --on-existing replace-conflict" in shell.err


def test_fix_adds_the_suggestion_under_merge(shell: Shell, tagged: Path) -> None:
    assert shell("audit", "--fix", "--yes", "--on-existing", "merge") == 0
    assert read_tags(tagged / "album 0" / "03.flac").genres == ("Rock", "Blues")


def test_nothing_is_fixed_where_too_many_tags_seem_wrong(shell: Shell, tagged: Path) -> None:
    database = Database(shell.db)
    for number, genre in enumerate(np.random.default_rng(1).choice(["Rock", "Jazz", "Folk", "Blues"], 80).tolist()):
        values = [json.dumps([genre]), number + 1]
        database.connection.execute("UPDATE track SET genres = ? WHERE id = ?", values)
    database.close()
    before = digests(tagged)
    assert shell("audit", "--fix", "--yes", "--on-existing", "replace-conflict") == 3
    assert "of the tags seem wrong. With more than 25%" in shell.err
    assert "reclass genres audit" in shell.err
    assert digests(tagged) == before
    assert shell("audit") == 0
    assert "--fix writes nothing here" in shell.out


def test_a_finer_genre_of_few_artists_is_no_suspicion(shell: Shell, tagged: Path) -> None:
    fine = ("Folk Rock", "Death Metal", "Shoegaze", "Punk")
    database = Database(shell.db)
    rock = [number for number in range(80) if number % 4 == 0 and number not in WRONG]
    for place, number in enumerate(rock):
        values = [json.dumps([fine[place % 4]]), number + 1]
        database.connection.execute("UPDATE track SET genres = ? WHERE id = ?", values)
    database.close()
    assert shell("audit", "--json") == 0
    found = {int(Path(row["path"]).stem): row for row in shell.objects()}
    assert not found.keys() & set(rock)
    assert {3, 41} <= set(found)


def test_the_check_of_the_list_is_in_json_with_its_bounds(shell: Shell, tagged: Path) -> None:
    assert shell("audit", "--json") == 0
    for row in shell.objects():
        checked = row["checked"]
        assert checked["low"] <= checked["precision"] <= checked["high"]
        assert checked["count"] == len(shell.objects())
        assert row["tags"] == row["tagged"]
        assert 0 < row["noise"] < 0.25


@pytest.mark.parametrize(("count", "models"), [(80, 2), (77, 2), (70, 1)])
def test_efficientats_vectors_count_where_nearly_all_tracks_have_them(
    count: int, models: int, shell: Shell, tagged: Path
) -> None:
    kind = PUBLISHED["efficientat"]
    vectors = np.random.default_rng(0).normal(size=(count, kind.dimension)).astype(np.float32)
    vectors[:, :4] += 5 * np.eye(4, dtype=np.float32)[np.arange(count) % 4]
    database = Database(shell.db)
    Library(database).add_vectors({number + 1: vectors[number] for number in range(count)}, kind)
    database.close()
    assert shell("audit") == 0
    assert shell.err.count("linear: agrees with") == models
    assert f"{count if models == 2 else 80} tagged tracks" in shell.out
    left_out = "3 tagged tracks have no vectors of efficientat and are left out"
    assert (left_out in shell.out) == (count == 77)


def test_what_we_wrote_ourselves_is_no_evidence(shell: Shell, tagged: Path) -> None:
    from music_reclass.features.library import Library

    shell("audit", "--fix", "--on-existing", "replace-conflict", "--yes")
    database = Database(shell.db)
    tracks = Library(database)

    written = tracks.written_by_us()
    assert written >= len(WRONG)
    assert len(list(tracks.tagged_by_user(fma518("mid30")))) == 80 - written
    database.close()


def test_what_we_wrote_is_no_evidence_after_the_files_were_renamed(
    shell: Shell, tagged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from music_reclass.cli import session
    from music_reclass.features.library import Library

    monkeypatch.setattr(session, "content_bundles", lambda settings: [])  # these vectors are of no music
    shell("audit", "--fix", "--on-existing", "replace-conflict", "--yes")
    tagged.rename(tagged.with_name("renamed"))
    shell("scan", tagged.with_name("renamed"), "--dry-run")
    database = Database(shell.db)
    tracks = Library(database)

    written = tracks.written_by_us()
    assert written >= len(WRONG)
    assert len(list(tracks.tagged_by_user(fma518("mid30")))) == 80 - written
    database.close()


def test_from_library_leaves_doubtful_tags_out_and_says_so(shell: Shell, tagged: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"

    assert shell("train", "fma-linear", "--from-library", "--least", "2", "--out", out) == 0

    bundle = bundles.load(out)
    assert set(bundle.labels) == {"Rock", "Jazz", "Folk", "Blues"}
    assert "tags are probably wrong" in shell.out
    assert bundle.predict_proba(np.zeros((1, 518), dtype=np.float32)).shape == (1, 4)


def test_a_library_that_is_not_there_or_too_small_is_said(shell: Shell, tagged: Path) -> None:
    assert shell("audit", "--least", "0.9", tagged / "album 3") == 0
    database = Database(shell.db)
    database.connection.execute("UPDATE track SET genres = NULL WHERE id > 10")
    database.close()
    assert shell("audit") in (2, 3)
    shell.db.unlink()
    assert shell("audit") == 3

"""Lists put first what is most worth a look: sure conflicts, whole uncertain albums, high expected gain."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from music_reclass.domain import Track
from music_reclass.features.statistics import Outcomes
from music_reclass.report import listings
from tests.classification.small_library import SmallLibrary, Tune, sure


def test_conflicts_come_by_album_the_surest_first(library: SmallLibrary) -> None:
    (album,) = listings.conflicts(Outcomes(library.database), library.cascade, 10).albums

    assert (album.name, album.folder, album.count) == ("Ida <b> – One & Two", "/m/One", 4)
    assert [track.path for track in album.tracks] == ["/m/One/0", "/m/One/1", "/m/One/2", "/m/One/3"]
    assert listings.genres_of(album.tracks[0]) == (("Rock", pytest.approx(0.95)),)


def test_whole_uncertain_albums_come_before_single_tracks(tmp_path: Path) -> None:
    uncertain = [Tune(f"/m/A/{n}", sure("Rock", 0.41), sure("Rock", 0.4), None, "A", "A") for n in range(3)]
    library = SmallLibrary(tmp_path, [Tune("/m/x/1", sure("Jazz", 0.5), sure("Jazz", 0.49)), *uncertain])
    library.decide()

    listing = listings.unsure(Outcomes(library.database), library.cascade, 1)

    assert (listing.all_albums, listing.all_tracks) == (2, 4)
    (first,) = listing.albums
    assert (first.name, first.count) == ("A – A", 3)
    assert listings.genres_of(first.tracks[0])[0][0] == "Rock"


def test_the_value_of_a_track_that_a_stage_could_still_help_is_the_expected_gain(tmp_path: Path) -> None:
    tunes = [Tune("/m/x/1", sure("Jazz", 0.45), None), Tune("/m/y/1", sure("Jazz", 0.35), None)]
    library = SmallLibrary(tmp_path, tunes)
    library.decide(extract=False)

    first, second = listings.unsure(Outcomes(library.database), library.cascade, 10).albums

    assert (first.folder, second.folder) == ("/m/y", "/m/x")  # the less sure gains more
    assert first.value == pytest.approx(0.65, abs=1e-3)


def test_a_large_folder_shows_its_most_valuable_tracks_and_counts_all(tmp_path: Path) -> None:
    tunes = [Tune(f"/m/{n:02}", sure("Rock", 0.85 + n / 200), sure("Rock"), ("Jazz",)) for n in range(12)]
    library = SmallLibrary(tmp_path, tunes)
    library.decide()

    (album,) = listings.conflicts(Outcomes(library.database), library.cascade, 10).albums

    assert album.count == 12
    assert [track.path for track in album.tracks] == [f"/m/{n:02}" for n in range(11, 3, -1)]


def test_a_list_keeps_numbers_and_reads_the_tracks_it_shows_alone(tmp_path: Path) -> None:
    tunes = [
        Tune(f"/m/{album:02}/{n}", sure("Rock", 0.9), sure("Rock"), ("Jazz",), "A", f"Album {album}")
        for album in range(20)
        for n in range(10)
    ]
    library = SmallLibrary(tmp_path, tunes)
    library.decide()
    outcomes, read = Outcomes(library.database), []
    tracks = outcomes.tracks

    def counted(numbers: Sequence[int]) -> list[Track]:
        read.extend(numbers)
        return tracks(numbers)

    outcomes.tracks = counted  # type: ignore[method-assign]
    listing = listings.conflicts(outcomes, library.cascade, 3)

    assert (listing.all_albums, listing.all_tracks) == (20, 200)
    assert [album.name for album in listing.albums] == ["A – Album 0", "A – Album 1", "A – Album 2"]
    assert len(read) == 3 * 9


def test_an_album_that_is_forgotten_meanwhile_is_left_out(library: SmallLibrary) -> None:
    outcomes = Outcomes(library.database)
    outcomes.tracks = lambda numbers: []  # type: ignore[method-assign]
    listing = listings.conflicts(outcomes, library.cascade, 10)
    assert listing.albums == ()
    assert listing.all_tracks == 4

"""Missing vectors are extracted once, and only for tracks that have the kinds before."""

from pathlib import Path

from music_reclass.classification.extract import extract_missing, missing_vectors
from tests.classification.fakes import COSTLY
from tests.classification.small_library import SmallLibrary, Tune, silent, sure


def test_what_is_stored_is_not_extracted_again(tmp_path: Path) -> None:
    tunes = [Tune(f"/m/{n}", sure("Rock", 0.9), sure("Rock") if n else None) for n in range(3)]
    library = SmallLibrary(tmp_path, tunes)
    stages, tracks = library.cascade.stages, library.ids

    assert missing_vectors(library.database, stages, tracks) == {"costly": 3}
    for _ in range(2):
        extract_missing(library.database, stages, tracks[1:], library.runner, stop=lambda: False, bar=silent)

    assert library.runner.asked == tracks[1:]
    assert missing_vectors(library.database, stages, tracks) == {"costly": 1}
    assert library.library.having(tracks, COSTLY) == set(tracks[1:])


def test_a_stop_is_obeyed(tmp_path: Path) -> None:
    library = SmallLibrary(tmp_path, [Tune("/m/1", sure("Rock"), sure("Rock"))])

    extract_missing(
        library.database, library.cascade.stages, library.ids, library.runner, stop=lambda: True, bar=silent
    )

    assert library.runner.asked == []

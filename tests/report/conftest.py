"""A small decided library: four tracks that exit early against their tag, and five that a later stage decides."""

from pathlib import Path

import pytest

from tests.classification.small_library import SmallLibrary, Tune, sure

HOSTILE = "/m/<script>alert('x')</script>&\udcff\x1b[31m.mp3"
ALBUM = [
    Tune(f"/m/One/{n}", sure("Rock", 0.95 - n / 100), sure("Rock"), ("Jazz",), "Ida <b>", "One & Two") for n in range(4)
]
TUNES = [
    *ALBUM,
    Tune("/m/agree", sure("Pop", 0.6), sure("Pop", 0.95), ("Pop",)),
    Tune("/m/finer", sure("Rock", 0.6), sure("Rock", 0.7), ("Shoegaze",)),
    Tune("/m/junk", sure("Rock", 0.6), sure("Rock", 0.7), ("Other",)),
    Tune("/m/none", sure("Jazz", 0.5), sure("Jazz", 0.45)),
    Tune(HOSTILE, sure("Jazz", 0.5), sure("Jazz", 0.4), ("<i>Zorblax</i>",)),
]


@pytest.fixture
def library(tmp_path: Path) -> SmallLibrary:
    """The library, decided."""
    made = SmallLibrary(tmp_path, TUNES)
    made.decide()
    return made

"""How genres are laid out for the program that reads them."""

import pytest

from music_reclass.config import PROFILES
from music_reclass.errors import UsageError
from music_reclass.tagging.policy import as_navidrome, laid_out


@pytest.mark.parametrize(
    ("profile", "values"),
    [
        ("native", ("Rock", "Jazz")),
        ("navidrome", ("Rock", "Jazz")),
        ("jellyfin", ("Rock", "Jazz")),
        ("plex", ("Rock",)),
        ("single", ("Rock",)),
        ("joined", ("Rock; Jazz",)),
    ],
)
def test_each_profile_has_its_layout(profile: str, values: tuple[str, ...]) -> None:
    assert laid_out(["Rock", "Jazz", "Rock"], profile) == values
    assert laid_out([], profile) == ()
    assert profile in PROFILES


def test_an_unknown_profile_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="native, plex, navidrome"):
        laid_out(["Rock"], "plexx")


def test_navidrome_splits_a_value_only_where_it_is_the_only_one() -> None:
    assert as_navidrome(["R&B; Soul/Funk, Pop"]) == ("R&B", "Soul", "Funk", "Pop")
    assert as_navidrome(["R&B; Soul", "Funk"]) == ("R&B; Soul", "Funk")
    assert as_navidrome([]) == ()

"""Address and token: from where they may come, and that the token stays inside."""

from pathlib import Path

import pytest

from music_reclass.config import Secret, Settings
from music_reclass.errors import UsageError
from music_reclass.plex.login import url_and_token

TOKEN = "s3cret_T0ken"
URL = "http://nas:32400"


def token_file(tmp_path: Path, text: str = TOKEN + "\n", mode: int = 0o600) -> Path:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_settings_come_before_the_general_variables(tmp_path: Path) -> None:
    environment = {"PLEX_URL": "http://other:1", "PLEX_TOKEN": "other"}
    url, token = url_and_token(Settings(plex_url=URL + "/", plex_token=Secret(TOKEN)), environment)
    assert (url, token.reveal()) == (URL, TOKEN)
    url, token = url_and_token(Settings(), environment)
    assert (url, token.reveal()) == ("http://other:1", "other")


def test_a_token_file_is_read_and_beats_the_rest(tmp_path: Path) -> None:
    settings = Settings(plex_url=URL, plex_token=Secret("other"), plex_token_file=token_file(tmp_path))
    assert url_and_token(settings, {})[1].reveal() == TOKEN


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(UsageError, match="chmod 600"):
        url_and_token(Settings(plex_url=URL, plex_token_file=token_file(tmp_path, mode=mode)), {})


def test_a_missing_token_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        url_and_token(Settings(plex_url=URL, plex_token_file=tmp_path / "absent"), {})


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "umläut"])
def test_what_can_be_no_token_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(UsageError, match="no token has") as caught:
        url_and_token(Settings(plex_url=URL, plex_token=Secret(token)), {})
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["nas:32400", "ftp://nas", "http://", "http://nas:port", f"http://nas/?X-Plex-Token={TOKEN}",
            f"http://me:{TOKEN}@nas:32400", f"http://nas/#{TOKEN}"],
)  # fmt: skip
def test_an_address_that_cannot_be_or_hides_a_secret_is_refused(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        url_and_token(Settings(plex_url=url, plex_token=Secret(TOKEN)), {})
    assert TOKEN not in str(caught.value)


def test_without_an_address_the_cure_is_named_and_a_token_may_be_missing() -> None:
    with pytest.raises(UsageError, match=r"reclass plex login finds yours; or set RECLASS_PLEX_URL"):
        url_and_token(Settings(), {})
    assert not url_and_token(Settings(plex_url=URL), {})[1]


@pytest.mark.parametrize("length", [20, 900, 5000])
def test_tokens_of_any_length_are_read_whole(tmp_path: Path, length: int) -> None:
    token = "x" * length
    settings = Settings(plex_url=URL, plex_token_file=token_file(tmp_path, token + "\n"))
    assert url_and_token(settings, {})[1].reveal() == token


def test_an_empty_token_file_is_said_and_not_taken_for_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is empty; reclass plex login"):
        url_and_token(Settings(plex_url=URL, plex_token_file=token_file(tmp_path, "\n")), {})


def test_no_form_of_the_access_shows_the_token() -> None:
    assert TOKEN not in repr(url_and_token(Settings(plex_url=URL, plex_token=Secret(TOKEN)), {}))

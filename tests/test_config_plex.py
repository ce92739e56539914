"""Settings for Plex: the token comes in by file and environment, and never goes out again."""

import dataclasses
import json
import pickle
from pathlib import Path

import pytest

from music_reclass.config import Secret, Settings, load, open_to_others
from music_reclass.errors import UsageError

TOKEN = "s3cr3t-T0ken"


def written(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_url_and_token_come_from_file_and_environment(tmp_path: Path) -> None:
    file = written(tmp_path, f'plex_url = "http://nas:32400"\nplex_token = "{TOKEN}"\nplex_rate = 2\n')
    settings = load({}, file, {"RECLASS_PLEX_URL": "http://other:32400", "RECLASS_PLEX_TIMEOUT": "5"})
    assert (settings.plex_url, settings.plex_rate, settings.plex_timeout) == ("http://other:32400", 2.0, 5.0)
    assert settings.plex_token.reveal() == TOKEN
    assert load({}, file, {"RECLASS_PLEX_TOKEN": "another"}).plex_token.reveal() == "another"


def test_no_form_of_the_settings_shows_the_token(tmp_path: Path) -> None:
    settings = load({}, written(tmp_path, ""), {"RECLASS_PLEX_TOKEN": TOKEN})
    assert TOKEN not in f"{settings} {settings!r} {settings.plex_token} {dataclasses.asdict(settings)}"
    with pytest.raises(TypeError):
        json.dumps({"token": settings.plex_token})
    assert pickle.loads(pickle.dumps(settings)).plex_token.reveal() == TOKEN


def test_a_token_that_does_not_fit_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not fit") as caught:
        load({}, written(tmp_path, "plex_token = 8675309"), {})
    assert "8675309" not in str(caught.value)


@pytest.mark.parametrize("key", ["plex_token", "plex-token"])
def test_a_configuration_with_a_token_that_others_can_read_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(UsageError, match="chmod 600") as caught:
        load({}, written(tmp_path, f'{key} = "{TOKEN}"', 0o644), {})
    assert TOKEN not in str(caught.value)


def test_a_configuration_without_a_token_may_be_read_by_all(tmp_path: Path) -> None:
    assert load({}, written(tmp_path, 'plex_url = "http://nas:32400"', 0o644), {}).plex_url


def test_modes_and_empty_secrets() -> None:
    assert open_to_others(0o644)
    assert open_to_others(0o620)
    assert not open_to_others(0o600)
    assert not Settings().plex_token
    assert Secret("x")

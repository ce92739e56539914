"""`reclass plex login`, tokens that see or may too little, and servers that let one wait, as a user meets them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from music_reclass.cli.main import cli, run
from music_reclass.cli.plex import plex
from music_reclass.plex import login
from music_reclass.plex.http import Client
from tests.fakes.plex_server import TOKEN, FakePlex
from tests.fakes.plex_tv import ACCOUNT_TOKEN, CODE, FakePlexTv

cli.add_command(plex)
Reclass = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fake() -> Iterator[FakePlex]:
    with FakePlex() as server:
        server.album("Ada", "Blue", 3)
        yield server


@pytest.fixture
def tv(fake: FakePlex, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePlexTv]:
    with FakePlexTv() as server:
        server.stand_in(monkeypatch)
        server.add("Attic", "machine-1", TOKEN, [("local", fake.url)])
        yield server


@pytest.fixture
def reclass(
    fake: FakePlex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Reclass]:
    for name, value in {
        "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "RECLASS_DB": str(tmp_path / "library.sqlite3"),
        "RECLASS_CONFIG": str(tmp_path / "reclass" / "config.toml"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    for waiting in (login.link, Client.__init__):
        monkeypatch.setitem(waiting.__kwdefaults__, "sleep", lambda seconds: None)
    seen: list[str] = []

    def call(*words: object) -> tuple[int, str, str]:
        code = run([str(word) for word in words])
        out, err = capsys.readouterr()
        seen.extend((out, err))
        return code, out, err

    yield call
    assert TOKEN not in "".join(seen)
    assert ACCOUNT_TOKEN not in "".join(seen)
    assert fake.tokens_in_addresses == 0


def kept(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "reclass").glob("*")} - {"plex-client"}


def test_after_a_login_the_server_answers_and_config_says_where_the_token_is(
    reclass: Reclass, tv: FakePlexTv, fake: FakePlex, tmp_path: Path
) -> None:
    code, out, err = reclass("plex", "login")
    assert code == 0
    assert f"Open https://plex.tv/link in a browser, sign in as the server's owner, and enter {CODE}" in err
    assert f"Attic at {fake.url}" in out
    assert kept(tmp_path) == {"config.toml", "plex-token"}
    code, out, err = reclass("plex", "check")
    assert (code, "can carry genres" in out, err) == (0, True, "")
    assert str(tmp_path / "reclass" / "plex-token") in reclass("config")[1]


def test_a_login_prints_one_object_with_json(reclass: Reclass, tv: FakePlexTv, fake: FakePlex, tmp_path: Path) -> None:
    code, out, _ = reclass("plex", "login", "--json", "--plex-token-file", tmp_path / "token")
    assert code == 0
    assert json.loads(out) == {
        "server": "Attic", "url": fake.url, "token_file": str(tmp_path / "token"),
        "config": str(tmp_path / "reclass" / "config.toml"),
    }  # fmt: skip


def test_several_servers_are_no_question_where_nobody_can_answer(
    reclass: Reclass, tv: FakePlexTv, fake: FakePlex, tmp_path: Path
) -> None:
    tv.add("Cellar", "machine-2", TOKEN, [("local", "http://127.0.0.1:9")])
    code, _, err = reclass("plex", "login")
    assert (code, "name one with --server: Attic, Cellar" in err, kept(tmp_path)) == (2, True, set())
    code, _, err = reclass("plex", "login", "--server", "cellar")
    assert (code, "answers at none of its" in err, kept(tmp_path)) == (5, True, set())
    assert reclass("plex", "login", "--server", "attic")[0] == 0


def test_somebody_at_a_terminal_chooses_among_several_servers(
    reclass: Reclass, tv: FakePlexTv, fake: FakePlex, monkeypatch: pytest.MonkeyPatch
) -> None:
    tv.add("Cellar", "machine-2", TOKEN, [("local", "http://127.0.0.1:9")])
    monkeypatch.setattr("music_reclass.cli.plex_output.interactive", lambda: True)
    monkeypatch.setattr("click.prompt", lambda text, type: 1)
    code, out, _ = reclass("plex", "login")
    assert (code, "1  Attic" in out, "2  Cellar" in out, f"Attic at {fake.url}" in out) == (0, True, True, True)


def test_the_server_of_a_friend_is_kept_and_called_one(
    reclass: Reclass, tv: FakePlexTv, fake: FakePlex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tv.servers.clear()
    tv.add("Friend", "machine-1", TOKEN, [], owned=False)
    monkeypatch.setattr(login, "address_of", lambda server: fake.url)
    code, out, err = reclass("plex", "login")
    assert (code, "Friend at" in out, "log in as its owner" in err) == (5, True, True)
    assert kept(tmp_path) == {"config.toml", "plex-token"}


def test_a_way_through_the_internet_is_said(reclass: Reclass, tv: FakePlexTv, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "leads through the internet" not in reclass("plex", "login")[2]
    monkeypatch.setattr("music_reclass.plex.http.is_local", lambda url: False)
    code, _, err = reclass("plex", "login")
    assert (code, "leads through the internet" in err) == (0, True)


def test_a_stopped_login_leaves_nothing(
    reclass: Reclass, tv: FakePlexTv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tv.polls = 10**6
    monkeypatch.setitem(login.link.__kwdefaults__, "sleep", lambda seconds: os.kill(os.getpid(), signal.SIGINT))
    code, out, _ = reclass("plex", "login")
    assert (code, out, kept(tmp_path)) == (130, "", set())


@pytest.fixture
def by_variables(fake: FakePlex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECLASS_PLEX_URL", fake.url)
    monkeypatch.setenv("RECLASS_PLEX_TOKEN", TOKEN)


@pytest.mark.parametrize("command", ["check", "map", "import", "diff"])
def test_a_shared_users_token_is_called_one(
    by_variables: None, reclass: Reclass, fake: FakePlex, tmp_path: Path, command: str
) -> None:
    from music_reclass.features.database import Database

    Database(tmp_path / "library.sqlite3").close()
    fake.shared_status = 403
    code, out, err = reclass("plex", command)
    assert (code, err.count("\n")) == (5, 1)
    assert "of a shared or managed user of the Plex server, who sees no files" in err
    if command == "check":
        assert "Plex Media Server" in out
        assert json.loads(reclass("plex", "check", "--json")[1])["owner"] is False


def test_an_empty_library_says_nothing_about_the_token(by_variables: None, reclass: Reclass, fake: FakePlex) -> None:
    fake.things.clear()
    assert reclass("plex", "check")[0] == 0


def test_a_server_that_is_starting_is_waited_for_and_that_is_said(
    by_variables: None, reclass: Reclass, fake: FakePlex
) -> None:
    fake.faults = [503] * 5
    code, out, err = reclass("plex", "libraries")
    assert (code, "Music" in out, err.count("waiting up to a minute")) == (0, True, 1)


def test_a_token_that_has_expired_names_the_login(by_variables: None, reclass: Reclass, fake: FakePlex) -> None:
    fake.token = "x" * 900
    code, _, err = reclass("plex", "check")
    assert (code, "has expired; reclass plex login gets a new one" in err) == (5, True)


def test_a_server_that_wants_no_token_is_used_without(
    by_variables: None, reclass: Reclass, fake: FakePlex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECLASS_PLEX_TOKEN", "")
    fake.token = ""
    assert reclass("plex", "check")[0] == 0
    fake.token = TOKEN
    assert reclass("plex", "check")[0] == 2

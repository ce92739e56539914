"""The login by a code: from plex.tv's list of servers to an address that answers, and a token only we can read."""

import logging
import os
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from music_reclass.config import Secret, load
from music_reclass.errors import NothingToDo, ReclassError, ServerError, UsageError
from music_reclass.plex import login
from tests.fakes.plex_server import TOKEN, FakePlex
from tests.fakes.plex_tv import ACCOUNT_TOKEN, CODE, FakePlexTv
from tests.plex.bench import Clock

DEAD = "http://127.0.0.1:9"  # nobody answers on the discard port


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RECLASS_CONFIG", str(tmp_path / "reclass" / "config.toml"))
    return tmp_path / "reclass" / "config.toml"


@pytest.fixture
def tv(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePlexTv]:
    with FakePlexTv() as server:
        server.stand_in(monkeypatch)
        yield server


def linked(clock: Clock | None = None) -> tuple[Secret, list[str]]:
    shown: list[str] = []
    clock = clock or Clock()
    return login.link(shown.append, sleep=clock.sleep, clock=clock), shown


def test_the_token_comes_when_the_code_was_entered(tv: FakePlexTv) -> None:
    tv.polls = 5
    clock = Clock()
    token, shown = linked(clock)
    assert (token.reveal(), shown) == (ACCOUNT_TOKEN, [CODE])
    assert len(clock.slept) == 6


def test_a_code_that_nobody_enters_is_given_up_after_a_quarter_of_an_hour(tv: FakePlexTv) -> None:
    tv.polls = 10**6
    clock = Clock()
    with pytest.raises(ServerError, match="not entered in time"):
        linked(clock)
    assert sum(clock.slept) == 900


def test_an_answer_of_plex_tv_without_a_code_is_not_waited_for(tv: FakePlexTv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tv, "answer", lambda *_: (201, "<pin/>"))
    with pytest.raises(ServerError, match="answers otherwise than expected"):
        linked()


def test_a_bad_answer_of_plex_tv_does_not_end_the_waiting_but_many_do(tv: FakePlexTv) -> None:
    def show(code: str) -> None:
        tv.faults = [500, 429, 503]

    clock = Clock()
    assert login.link(show, sleep=clock.sleep, clock=clock)

    def show_many(code: str) -> None:
        tv.faults = [500] * 20

    with pytest.raises(ServerError, match="went out of reach"):
        login.link(show_many, sleep=clock.sleep, clock=clock)


def test_no_error_of_plex_tv_shows_a_token(tv: FakePlexTv, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = []
    tv.faults = [429]
    wrong = Secret("-".join(("wrong", "t0ken")))
    for call in (linked, lambda: login.servers_of(wrong)):
        with pytest.raises(ServerError, match=r"plex\.tv refuses that \(status \d+\)") as caught:
            call()
        texts.append("".join(traceback.format_exception(caught.value)))
    tv.__exit__()
    with pytest.raises(ServerError, match=r"plex\.tv cannot be reached"):
        linked()
    assert "-t0ken" not in "".join(texts)


def test_no_log_of_a_login_shows_a_token(
    tv: FakePlexTv, fake: FakePlex, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEXAPI_LOG_SHOW_SECRETS", "true")
    caplog.set_level(logging.DEBUG)
    tv.add("Mine", "machine-1", TOKEN, [("local", fake.url)])
    token, _ = linked()
    (server,) = login.servers_of(token)
    login.address_of(server)
    assert "/api/v2/resources" in caplog.text
    assert ACCOUNT_TOKEN not in caplog.text
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(server)


def test_this_installation_has_one_made_up_name_and_not_the_address_of_its_card(tv: FakePlexTv, config: Path) -> None:
    linked()
    login.servers_of(Secret(ACCOUNT_TOKEN))
    names = {headers["X-Plex-Client-Identifier"] for _, _, headers in tv.requests}
    assert names == {login.client_identifier()}
    assert str(uuid.UUID(names.pop())) == (config.parent / "plex-client").read_text().strip()
    assert all(headers["X-Plex-Product"] == "reclass" for _, _, headers in tv.requests)


def test_where_nothing_can_be_kept_the_name_is_made_up_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RECLASS_CONFIG", str(tmp_path / "file" / "config.toml"))
    assert uuid.UUID(login.client_identifier()) != uuid.UUID(login.client_identifier())


def test_servers_of_the_account_come_before_those_of_friends_and_players_not_at_all(tv: FakePlexTv) -> None:
    tv.add("Theirs", "m2", "t2", [], owned=False)
    tv.add("Mine", "m1", "t1", [])
    found = login.servers_of(Secret(ACCOUNT_TOKEN))
    assert [one.name for one in found] == ["Mine", "Theirs"]
    assert [one.name for one in login.choose(found, "")] == ["Mine"]
    assert [one.name for one in login.choose(found, "theirs")] == ["Theirs"]
    assert [one.name for one in login.choose(found, "m2")] == ["Theirs"]
    assert [one.name for one in login.choose(found[1:], "")] == ["Theirs"]
    with pytest.raises(UsageError, match="no server 'Attic'; there are: Mine, Theirs"):
        login.choose(found, "Attic")
    with pytest.raises(NothingToDo, match="has no server"):
        login.choose([], "")


def address(tv: FakePlexTv, addresses: list[tuple[str, str]], **more: object) -> str:
    tv.servers.clear()
    tv.add("Mine", "machine-1", TOKEN, addresses, **more)
    return login.address_of(login.servers_of(Secret(ACCOUNT_TOKEN))[0])


def test_the_first_address_that_answers_is_taken_the_nearest_first(tv: FakePlexTv, fake: FakePlex) -> None:
    with FakePlex() as far:
        there = far.url.replace("127.0.0.1", "localhost")
        assert address(tv, [("remote", there), ("local", fake.url)]) == fake.url
        with pytest.raises(ServerError, match="answers at none"):
            address(tv, [("local", DEAD), ("remote", there)])  # http goes no further than this network
    assert all("X-Plex-Token" not in request.headers for request in fake.requests)


def test_another_server_at_a_remembered_address_is_not_taken_for_it(tv: FakePlexTv) -> None:
    with FakePlex("machine-2") as other, pytest.raises(ServerError, match="answers at none of its"):
        address(tv, [("local", other.url)])


def test_a_server_without_addresses_is_said(tv: FakePlexTv) -> None:
    with pytest.raises(ServerError, match=r"plex\.tv knows none"):
        address(tv, [])


@pytest.mark.parametrize("named", [True, False])
def test_what_is_kept_leads_to_the_server(config: Path, tmp_path: Path, named: bool) -> None:
    config.parent.mkdir()
    config.write_text('jobs = 3\nplex_url = "http://old:1"\n[prior]\nJazz = 1.0\n')
    given = tmp_path / "elsewhere" / "token" if named else None
    kept = login.store("https://new:2", Secret(TOKEN), config, given)
    assert kept == (given or config.with_name("plex-token"))
    assert kept.stat().st_mode & 0o777 == 0o600
    settings = load({}, config, {})
    assert (settings.jobs, settings.plex_token_file) == (3, kept)
    url, token = login.url_and_token(settings, {})
    assert (url, token.reveal()) == ("https://new:2", TOKEN)
    assert TOKEN not in config.read_text()
    assert sorted(os.listdir(kept.parent)) == sorted({kept.name} | ({"config.toml"} if not named else set()))


def test_a_token_file_that_others_could_read_is_replaced_by_one_that_they_cannot(config: Path) -> None:
    config.parent.mkdir()
    path = config.with_name("plex-token")
    path.write_text("old")
    path.chmod(0o644)
    login.store("http://a:1", Secret(TOKEN), config, None)
    assert path.stat().st_mode & 0o777 == 0o600


def test_where_the_token_cannot_be_kept_it_is_one_sentence(config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReclassError, match="cannot be written"):
        login.store("http://a:1", Secret(TOKEN), config, tmp_path / "file" / "token")

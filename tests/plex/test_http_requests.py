"""Requests: paced, retried where that helps, one sentence where it does not, and the token never shown."""

import logging
import os
import traceback

import pytest

from music_reclass.errors import ReclassError, ServerError, UsageError
from music_reclass.plex.http import DELAYS, Client, Refused, is_local
from tests.fakes.plex_server import TOKEN, FakePlex
from tests.plex.bench import Clock, connected


def test_it_learns_who_the_server_is(fake: FakePlex) -> None:
    client = connected(fake).client
    assert (client.name, client.machine, client.version) == ("Fake", "machine-1", "1.41.0.1-fake")


@pytest.mark.parametrize("fault", [429, 500, 502, 503, 504, "drop"])
def test_what_passes_is_waited_for(fake: FakePlex, fault: object) -> None:
    clock = Clock()
    server = connected(fake, clock)
    fake.faults = [fault] * 4
    assert server.music().title == "Music"
    assert clock.slept == list(DELAYS[:4])


def test_a_server_that_is_slow_is_asked_again(fake: FakePlex) -> None:
    server = connected(fake, timeout=0.3)
    fake.faults = ["hang"]
    assert server.music().title == "Music"


def test_the_server_may_say_how_long_to_wait_but_not_forever(fake: FakePlex) -> None:
    clock = Clock()
    server = connected(fake, clock)
    fake.faults = [("retry-after", 7), ("retry-after", 86400)]
    server.music()
    assert clock.slept == [7.0, 60.0]


def test_a_server_that_stays_away_is_given_up_in_one_sentence(fake: FakePlex) -> None:
    clock = Clock()
    server = connected(fake, clock)
    fake.faults = [503] * 20
    with pytest.raises(ServerError, match="keeps answering 503"):
        server.music()
    assert len(clock.slept) == len(DELAYS)


@pytest.mark.parametrize("fault", [400, 402, 403, 404, "html", "page", "nothing", "redirect"])
def test_what_is_no_plex_server_is_called_so_at_once(fake: FakePlex, fault: object) -> None:
    fake.faults = [fault]
    with pytest.raises(ServerError, match=r"not a Plex server|sends us on"):
        connected(fake)


@pytest.mark.parametrize("fault", ["page", "nothing"])
def test_an_answer_of_a_proxy_does_not_say_that_items_are_gone(fake: FakePlex, fault: str) -> None:
    (thing,) = fake.album("Ada", "Blue", 1)
    server = connected(fake)
    fake.faults = [fault]
    with pytest.raises(ServerError, match=r"not a Plex server|answers nothing"):
        server.items([thing.key])


def test_an_address_where_nobody_answers_is_given_up_sooner(fake: FakePlex) -> None:
    clock = Clock()
    with FakePlex() as other:
        pass
    with pytest.raises(ServerError, match=r"127.0.0.1:\d+ cannot be reached"):
        connected(other, clock)
    assert sum(clock.slept) < 5


def test_a_server_that_restarts_is_found_again(fake: FakePlex) -> None:
    clock = Clock()
    server = connected(fake, clock)
    server.music()
    fake.__exit__()
    sleep = clock.sleep

    def wake(seconds: float) -> None:
        sleep(seconds)
        if len(clock.slept) == 3:
            fake.__enter__()

    server.client.sleep = wake
    assert server.music().title == "Music"
    assert len(clock.slept) == 3


@pytest.mark.parametrize("status", [400, 403, 404, 409, 414])
def test_a_refusal_is_not_repeated(fake: FakePlex, status: int) -> None:
    client = connected(fake).client
    fake.faults = [status]
    with pytest.raises(Refused) as caught:
        client.get("/library/sections")
    assert caught.value.status == status
    assert len(fake.requests) == 2


def test_a_bad_token_is_one_sentence(fake: FakePlex) -> None:
    with pytest.raises(ServerError, match="does not accept the token"):
        connected(fake, token="wrong-token")


def test_a_redirect_is_not_followed_with_the_token(fake: FakePlex) -> None:
    client = connected(fake).client
    fake.faults = ["redirect"]
    with pytest.raises(ServerError, match="another address"):
        client.get("/library/sections")
    assert all(request.path != "/elsewhere" for request in fake.requests)


def test_what_is_no_plex_server_is_one_sentence(fake: FakePlex) -> None:
    fake.faults = ["html"]
    with pytest.raises(ServerError, match="is not a Plex server"):
        connected(fake)


def test_edits_keep_their_distance_and_reads_of_a_server_in_this_network_do_not(fake: FakePlex) -> None:
    clock = Clock()
    server = connected(fake, clock, rate=5.0)
    section = server.music()
    for _ in range(50):
        server.client.get("/library/sections")
    assert clock.slept == []
    (thing,) = fake.album("Ada", "Blue", 1)
    for _ in range(11):
        server.edit(section, "track", [thing.key], {"genre.locked": 1})
    assert clock.now - 1000.0 == pytest.approx(2.0)
    assert server.client.count == 63
    server.client.get("/library/sections")
    assert clock.now - 1000.0 == pytest.approx(2.0)
    clock.now += 0.15  # what is read between two edits counts for the distance
    server.edit(section, "track", [thing.key], {"genre.locked": 1})
    assert clock.now - 1000.0 == pytest.approx(2.2)


def test_reads_of_a_server_elsewhere_keep_their_distance(fake: FakePlex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("music_reclass.plex.http.is_local", lambda url: False)
    clock = Clock()
    client = connected(fake, clock, rate=5.0).client
    for _ in range(10):
        client.get("/library/sections")
    assert clock.now - 1000.0 == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("url", "near"),
    [("http://127.0.0.1:1", True), ("http://192.168.1.10:32400", True), ("http://[fe80::1]:1", True),
     ("https://8.8.8.8", False), ("http://no.such.name.invalid:1", False)],
)  # fmt: skip
def test_what_is_in_this_network_is_told_by_the_address(url: str, near: bool) -> None:
    assert is_local(url) is near


def test_a_server_with_too_much_to_do_is_asked_less_often_until_it_has_recovered(fake: FakePlex) -> None:
    clock = Clock()
    server = connected(fake, clock)
    fake.faults = [429, 429, 429]
    server.music()
    waited = len(clock.slept)
    server.music()
    assert clock.slept[waited:] == [pytest.approx(0.32)]  # eight tenths of what it was after three refusals
    for _ in range(60):
        server.music()
    waited = len(clock.slept)
    server.music()
    assert clock.slept[waited:] == []


def test_one_connection_serves_all_requests(fake: FakePlex) -> None:
    server = connected(fake)
    (thing,) = fake.album("Ada", "Blue", 1)
    for _ in range(10):
        server.edit(server.music(), "track", [thing.key], {"genre.locked": 1})
    assert (len(fake.requests), fake.opened) == (21, 1)


def test_a_server_that_is_starting_is_waited_for_at_the_first_request_too(fake: FakePlex) -> None:
    clock, lines = Clock(), []
    fake.faults = [503] * 6
    assert connected(fake, clock, log=lines.append).music().title == "Music"
    assert clock.slept == list(DELAYS)  # and once it answers it is asked as fast as ever
    assert len(lines) == 1
    assert "starting or under maintenance: waiting up to a minute" in lines[0]


def test_a_server_that_wants_no_token_gets_none(fake: FakePlex) -> None:
    fake.token = ""
    assert connected(fake, token="").music().title == "Music"


def test_a_server_that_wants_a_token_where_there_is_none_names_the_login(fake: FakePlex) -> None:
    with pytest.raises(UsageError, match=r"There is no token, .* reclass plex login"):
        connected(fake, token="")


def test_a_token_may_be_as_long_as_it_likes_and_its_end_is_said(fake: FakePlex) -> None:
    fake.token = f"eyJ{'x' * 900}.{'y' * 300}.{'z' * 86}"
    client = connected(fake, token=fake.token).client
    fake.token = "renewed"
    with pytest.raises(ServerError, match=r"has expired; reclass plex login gets a new one") as caught:
        client.get("/library/sections")
    assert "xxx" not in str(caught.value)


def test_requests_name_this_installation_and_not_the_machine(fake: FakePlex) -> None:
    connected(fake, identifier="an-id-of-ours")
    assert fake.requests[-1].headers["X-Plex-Client-Identifier"] == "an-id-of-ours"


def test_the_token_is_in_no_error_no_log_and_no_address(
    fake: FakePlex, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLEXAPI_LOG_SHOW_SECRETS", "true")
    caplog.set_level(logging.DEBUG)
    texts = []
    for faults in ([401], [0, 400], [0, 404], [0] + [503] * 9, [0, "html"], [0, "redirect"]):
        fake.faults = [fault or None for fault in faults]
        try:
            connected(fake).client.get("/library/sections")
        except (ReclassError, Refused) as error:
            texts.append("".join(traceback.format_exception(error)) + repr(error))
    assert len(texts) == 6
    assert TOKEN not in "".join(texts) + caplog.text
    assert fake.tokens_in_addresses == 0
    assert os.environ["PLEXAPI_LOG_SHOW_SECRETS"] == "true"


def test_no_form_of_the_client_shows_the_token(fake: FakePlex) -> None:
    client: Client = connected(fake).client
    assert TOKEN not in f"{client!r} {vars(client)!r}"

"""Requests: paced, retried where that helps, one sentence where it does not, and the token never shown."""

import logging
import os
import traceback

import pytest

from music_reclass.errors import ReclassError, ServerError
from music_reclass.plex.http import DELAYS, Client, Refused
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


def test_requests_keep_their_distance(fake: FakePlex) -> None:
    clock = Clock()
    client = connected(fake, clock, rate=5.0).client
    for _ in range(10):
        client.get("/library/sections")
    assert clock.now - 1000.0 == pytest.approx(2.0)
    assert client.count == 11


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

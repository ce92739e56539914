"""Nobody without the link or the token gets anything; a foreign page or name gets nothing done."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi.testclient import TestClient

from music_reclass.web.access import COOKIE, Access, guarded
from tests.web.conftest import BASE, TOKEN

PAGES = ("/", "/review", "/library", "/map", "/runs", "/models", "/tracks/1", "/parts/album/1")
DATA = ("/api/v1/tracks", "/api/v1/stats", "/api/v1/tracks/1/audio", "/openapi.json")


async def echo(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b"inside"})  # type: ignore[operator]


def signed_in(access: Access) -> TestClient:
    client = TestClient(guarded(echo, access, lambda: "sign in"), base_url=BASE, follow_redirects=False)  # type: ignore[arg-type]
    answer = client.get("/", params={"token": access.token})
    assert answer.status_code == 303
    assert COOKIE in client.cookies
    return client


@pytest.mark.parametrize("path", PAGES)
def test_a_page_without_a_session_says_how_to_get_one(stranger: TestClient, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 401
    assert "reclass serve" in answer.text


@pytest.mark.parametrize("path", DATA)
def test_data_without_a_session_are_refused(stranger: TestClient, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 401
    assert "link" in answer.json()["detail"]


def test_a_wrong_token_opens_nothing(stranger: TestClient) -> None:
    assert stranger.get("/", params={"token": "wrong"}).status_code == 401
    assert stranger.get("/api/v1/stats", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert stranger.get("/api/v1/stats", headers={"authorization": TOKEN}).status_code == 401


def test_the_link_gives_a_cookie_that_scripts_and_other_sites_do_not_get() -> None:
    client = TestClient(guarded(echo, Access(TOKEN), lambda: ""), base_url=BASE, follow_redirects=False)  # type: ignore[arg-type]
    header = client.get("/review", params={"token": TOKEN, "x": "1"}).headers
    assert header["location"] == "/review?x=1"
    assert "HttpOnly" in header["set-cookie"]
    assert "SameSite=Strict" in header["set-cookie"]
    assert TOKEN not in header["set-cookie"]


def test_a_link_never_leads_to_another_host() -> None:
    client = TestClient(guarded(echo, Access(TOKEN), lambda: ""), base_url=BASE, follow_redirects=False)  # type: ignore[arg-type]
    answer = client.get(f"{BASE}//evil.example/", params={"token": TOKEN})
    assert answer.headers["location"].startswith("/evil")


def test_a_link_without_a_chosen_token_is_good_once() -> None:
    access, told = Access(), []
    access.on_used = told.append
    first = access.token
    client = signed_in(access)
    assert client.get("/").text == "inside"
    other = TestClient(guarded(echo, access, lambda: "sign in"), base_url=BASE, follow_redirects=False)  # type: ignore[arg-type]
    assert other.get("/", params={"token": first}).status_code == 401
    assert told == [access.token] != [first]
    assert other.get("/", params={"token": access.token}).status_code == 303


def test_a_one_time_token_is_no_bearer_token() -> None:
    access = Access()
    client = TestClient(guarded(echo, access, lambda: ""), base_url=BASE)  # type: ignore[arg-type]
    assert client.get("/", headers={"authorization": f"Bearer {access.token}"}).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "", "[", "localhost@evil.example:1"]
)
def test_a_name_that_is_not_ours_is_not_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/stats", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8808", "127.0.0.1:1", "[::1]:8808"])
def test_names_of_this_machine_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/stats", headers={"host": host}).status_code == 200


def test_a_further_name_is_answered_where_it_was_given() -> None:
    assert Access(TOKEN, ["music.lan"]).knows("Music.lan:8808")
    assert not Access(TOKEN, ["music.lan"]).knows("music.lan.evil.example")


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:99", "https://127.0.0.1.evil"]
)
def test_a_change_from_another_page_is_refused(origin: str | None) -> None:
    client = signed_in(Access(TOKEN))
    headers = {} if origin is None else {"origin": origin}
    for method in ("POST", "DELETE", "PUT", "PATCH"):
        assert client.request(method, "/api/v1/decisions", headers=headers).status_code == 403


def test_a_change_from_our_own_page_is_taken() -> None:
    client = signed_in(Access(TOKEN))
    assert client.post("/api/v1/decisions", headers={"origin": BASE}).text == "inside"


def test_a_program_with_the_token_needs_no_origin(client: TestClient) -> None:
    assert client.delete("/api/v1/decisions/0").status_code == 410


def test_every_answer_forbids_foreign_scripts_and_frames(client: TestClient, stranger: TestClient) -> None:
    for path in ("/", "/static/app.js", "/api/v1/stats", "/nowhere"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_styles_and_scripts_need_no_session_and_nothing_beside_them_is_served(stranger: TestClient) -> None:
    assert stranger.get("/static/style.css").status_code == 200
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"):
        assert stranger.get(path).status_code in (401, 404)


def test_two_servers_on_one_machine_keep_their_sessions_apart() -> None:
    """Browsers send the cookies of one port to all."""
    first, second = Access(TOKEN, port=8808), Access(TOKEN, port=8809)
    both = "; ".join(one.cookie().partition(";")[0] for one in (first, second))
    assert first.has_session(both)
    assert second.has_session(both)
    assert not second.has_session(first.cookie().partition(";")[0])


def test_cookies_of_other_servers_that_are_no_cookies_do_no_harm() -> None:
    access = Access(TOKEN)
    ours = access.cookie().partition(";")[0]
    for others in ('a={"x": "y"}', "=", "a[]=1", 'q="', "b=\xe9", ";;", "reclass=", "reclass=wrong"):
        assert access.has_session(f"{others}; {ours}")
        assert access.has_session(f"{ours}; {others}")
        assert not access.has_session(others)


def test_a_token_may_have_any_letters() -> None:
    for token in ("pässwörter-und-mehr", "a+b/c=&d#e f%41", "\udcff-not-utf-8-at-all"):
        access = Access(token)
        sent = token.encode("utf-8", "surrogateescape").decode("latin-1")
        assert access.has_token(f"Bearer {sent}") == ("\udcff" not in token)
        assert not access.has_token("Bearer \xff\xfe")
        assert not access.admits("wrong")


def test_a_link_never_leads_elsewhere_nor_adds_a_header() -> None:
    async def location(path: str) -> str:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "query_string": f"token={TOKEN}".encode(),
                 "headers": [(b"host", b"127.0.0.1")]}  # fmt: skip
        await guarded(echo, Access(TOKEN), lambda: "")(scope, echo, send)  # type: ignore[arg-type]
        return str(dict(sent[0]["headers"])[b"location"].decode())

    for path in ("/\\evil.example", "//evil.example", "/x\r\nset-cookie: a=b", "/\t/evil.example", "/\u00e9?x#y"):
        found = asyncio.run(location(path))
        assert found.startswith("/")
        assert not {*found} & {*"\\\r\n\t?#"}
        assert not found.startswith("//")


def test_a_request_that_names_two_hosts_is_not_answered() -> None:
    async def status(*hosts: bytes) -> int:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", f"Bearer {TOKEN}".encode()), *((b"host", host) for host in hosts)]
        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
        await guarded(echo, Access(TOKEN), lambda: "")(scope, echo, send)  # type: ignore[arg-type]
        return int(sent[0]["status"])

    assert asyncio.run(status(b"127.0.0.1")) == 200
    assert asyncio.run(status(b"evil.example", b"127.0.0.1")) == 421
    assert asyncio.run(status()) == 421


def test_a_body_without_end_is_not_taken_in(client: TestClient) -> None:
    headers = {"content-length": str(10**12), "content-type": "application/json"}
    assert client.post("/api/v1/decisions", headers=headers, content=b"").status_code == 413


@pytest.mark.parametrize("host", ["Music.lan", "music.lan:8808", "music.lan.", "music.lan"])
def test_a_name_is_the_same_with_port_and_final_dot(host: str) -> None:
    assert Access(TOKEN, [host]).knows("music.lan:8808")
    assert Access(TOKEN, ["music.lan"]).knows(host)


def test_an_address_of_ipv6_is_a_name_as_any_other() -> None:
    access = Access(TOKEN, ["fd00::5"])
    assert access.knows("[fd00::5]:8808")
    assert access.knows("[::1]")
    assert not access.knows("[fd00::6]")
    assert not access.knows("")
    assert not access.knows(".")


def test_a_body_that_says_no_length_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("music_reclass.web.access.LARGEST_BODY", 10)
    seen: list[str] = []

    async def read(scope: object, receive: Any, send: object) -> None:
        while not seen or seen[-1] != "http.disconnect":
            seen.append((await receive())["type"])

    async def chunk() -> Any:
        return {"type": "http.request", "body": b"abcd", "more_body": True}

    headers = [(b"authorization", f"Bearer {TOKEN}".encode()), (b"host", b"127.0.0.1")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    asyncio.run(guarded(read, Access(TOKEN), lambda: "")(scope, chunk, chunk))  # type: ignore[arg-type]
    assert seen == ["http.request", "http.request", "http.disconnect"]


def test_a_websocket_is_closed_in_order() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guarded(echo, Access(TOKEN), lambda: "")({"type": "websocket", "path": "/"}, echo, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close"}]

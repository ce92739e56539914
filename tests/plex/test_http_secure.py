"""Servers with "Secure connections: Required": a certificate for *.HASH.plex.direct, and no answer to http."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from music_reclass.config import Secret
from music_reclass.errors import ServerError
from music_reclass.plex.http import secure_address
from music_reclass.plex.login import address_of, servers_of
from tests.fakes.plex_server import TOKEN, FakePlex
from tests.fakes.plex_tv import ACCOUNT_TOKEN, FakePlexTv
from tests.plex.bench import Clock, connected

HASH = "0123456789abcdef0123456789abcdef"
HOST = f"127-0-0-1.{HASH}.plex.direct"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl command is not here to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    files = str(folder / "certificate.pem"), str(folder / "key.pem")
    name = f"*.{HASH}.plex.direct"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-out", files[0], "-keyout", files[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return files


@pytest.fixture
def secure(certificate: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePlex]:
    resolve = socket.getaddrinfo

    def in_plex_direct(host: Any, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if host == HOST else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", in_plex_direct)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate[0])
    fake = FakePlex()
    fake.tls = certificate
    with fake:
        yield fake


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_that_is_not_that_of_the_certificate_is_answered_with_the_one_that_is(
    secure: FakePlex, scheme: str, host: str
) -> None:
    clock = Clock()
    with pytest.raises(ServerError) as caught:
        connected(secure, clock, url=f"{scheme}://{host}:{secure.port}")
    assert str(caught.value).endswith(
        f"it has a certificate for another address, which you can set as plex_url: https://{HOST}:{secure.port}"
    )
    assert secure.requests == []


def test_the_address_that_was_proposed_works(secure: FakePlex) -> None:
    address = secure_address(f"http://127.0.0.1:{secure.port}")
    assert connected(secure, url=address).music().title == "Music"


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(
    secure: FakePlex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(ServerError, match="not trusted"):
        connected(secure, url=f"https://{HOST}:{secure.port}")
    assert secure.requests == []


def test_a_name_that_the_router_does_not_resolve_is_explained() -> None:
    with FakePlex() as fake, pytest.raises(ServerError, match="rebinding protection"):
        connected(fake, Clock(), url=f"https://10-9-9-9.{HASH}.plex.direct.invalid.plex.direct:1")


def test_where_nobody_or_another_program_answers_no_address_is_proposed() -> None:
    assert secure_address("http://127.0.0.1:9") == ""
    assert secure_address("http://name.invalid") == ""


def test_a_login_takes_the_secure_address_in_this_network_first(
    secure: FakePlex, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakePlexTv() as tv:
        tv.stand_in(monkeypatch)
        near = f"https://{HOST}:{secure.port}"
        tv.add("Mine", "machine-1", TOKEN, [("relay", "https://localhost:9"), ("local", near)], https=True)
        assert address_of(servers_of(Secret(ACCOUNT_TOKEN))[0]) == near


def test_https_where_only_http_is_spoken_is_said(fake: FakePlex) -> None:
    with pytest.raises(ServerError, match=r"does not speak https; try http://"):
        connected(fake, url=fake.url.replace("http:", "https:"))

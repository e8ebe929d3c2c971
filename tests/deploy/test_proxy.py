"""The site's proxy: the real server with the very file of its image, before a small web part."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.proxy import CADDY, CADDYFILE, Proxy
from tests.supervisor.conftest import eventually

NAME = "muniment.example.org"


class Web(BaseHTTPRequestHandler):
    """Tells what it was asked; speaks twice at /events, with a long breath between; hangs up at /gone."""

    protocol_version = "HTTP/1.1"
    lengths: list[int] = []

    def do_GET(self) -> None:
        if self.path == "/events":
            self._stream()
            return
        if self.path == "/gone":
            self.close_connection = True
            return
        body = json.dumps({"path": self.path, **{k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Server", "secret/1.0")
        if self.path == "/policy":
            self.send_header("Content-Security-Policy", "img-src 'self'")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.lengths.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
        self.do_GET()

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for word in ("first", "second"):
            self.wfile.write(f"data: {word}\n\n".encode())
            self.wfile.flush()
            time.sleep(2)

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass(frozen=True)
class Site(Proxy):
    def client(self) -> httpx.Client:
        # It tries a web part that does not answer for five seconds.
        url = f"https://127.0.0.1:{self.https}"
        return httpx.Client(verify=self.trusted(), http2=True, timeout=20, base_url=url)

    def get(self, path: str, **headers: str) -> httpx.Response:
        with self.client() as client:
            return client.get(path, headers={"Host": NAME, **headers}, extensions={"sni_hostname": NAME})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("proxy")
    web = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    web.daemon_threads = True
    threading.Thread(target=web.serve_forever, daemon=True).start()
    running = Site.start(folder, ("127.0.0.1", web.server_address[1]), {"MUNIMENT_SITE_NAME": NAME})

    def serves() -> bool:
        assert running.process.poll() is None, running.log.read_text()
        try:
            return running.get("/").status_code == 200
        except (httpx.HTTPError, OSError):
            return False

    try:
        eventually(serves, seconds=30)
        yield running
    finally:
        running.stop()
        web.shutdown()
        web.server_close()


def test_a_page_comes_over_http_2_with_a_certificate_of_the_sites_own_authority(site: Site) -> None:
    answer = site.get("/ask")
    assert answer.status_code == 200
    assert answer.http_version == "HTTP/2"
    assert answer.json()["path"] == "/ask"


def test_a_certificate_of_an_unknown_authority_is_none(site: Site) -> None:
    with httpx.Client() as client, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        client.get(f"https://127.0.0.1:{site.https}/", extensions={"sni_hostname": NAME})


def test_old_protocols_are_refused(site: Site) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", site.https)) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain, server_hostname=NAME)


def test_the_web_part_learns_who_asks_and_that_it_was_over_tls(site: Site) -> None:
    told = site.get("/").json()
    assert told["host"] == NAME
    assert told["x-forwarded-proto"] == "https"
    assert told["x-forwarded-for"] == "127.0.0.1"


def test_nobody_can_pretend_to_be_somebody_else(site: Site) -> None:
    told = site.get("/", **{"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "http"}).json()
    assert told["x-forwarded-for"] == "127.0.0.1"
    assert told["x-forwarded-proto"] == "https"


def test_plain_http_is_only_told_the_way(site: Site) -> None:
    answer = httpx.get(f"http://127.0.0.1:{site.http}/ask?q=1", headers={"Host": "anything.example"})
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"https://{NAME}:443/ask?q=1"


def test_another_name_is_not_served(site: Site) -> None:
    with site.client() as client:
        answer = client.get("/", headers={"Host": "other.example"}, extensions={"sni_hostname": NAME})
    assert answer.status_code == 421 or answer.content == b""


SHUT = "default-src 'none'"


def test_what_it_answers_itself_may_do_nothing_in_a_browser(site: Site) -> None:
    plain = httpx.get(f"http://127.0.0.1:{site.http}/", headers={"Host": "anything.example"})
    gone = site.get("/gone")
    assert gone.status_code == 502
    for answer in (plain, gone):
        assert answer.headers.get_list("content-security-policy") == [SHUT]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert not {"server", "via"} & set(gone.headers)


def test_what_the_web_part_says_of_a_page_is_not_said_twice(site: Site) -> None:
    assert site.get("/policy").headers.get_list("content-security-policy") == ["img-src 'self'"]


def test_it_does_not_say_what_it_runs(site: Site) -> None:
    headers = site.get("/").headers
    assert not {"server", "via", "x-powered-by"} & set(headers)


def test_a_stream_arrives_while_it_is_written(site: Site) -> None:
    began = time.monotonic()
    with (
        site.client() as client,
        client.stream("GET", "/events", headers={"Host": NAME}, extensions={"sni_hostname": NAME}) as answer,
    ):
        first = next(answer.iter_text())
    assert first == "data: first\n\n"
    assert time.monotonic() - began < 1.5


def test_a_body_larger_than_any_part_of_a_file_does_not_come_through(site: Site) -> None:
    asked = {"headers": {"Host": NAME}, "extensions": {"sni_hostname": NAME}}
    with site.client() as client:
        assert client.post("/", content=b"x" * 4_200_000, **asked).status_code == 200
        # The proxy may close the stream while the rest is still being sent.
        with contextlib.suppress(httpx.TransportError):
            assert client.post("/", content=b"x" * 9_000_000, **asked).status_code in {413, 502}
    assert Web.lengths[0] == 4_200_000
    assert max(Web.lengths) <= 8_000_000


def _adapted(**settings: str) -> dict[str, Any]:
    """The whole configuration, with what the proxy adds by itself."""
    done = subprocess.run(
        [str(CADDY), "adapt", "--config", str(CADDYFILE), "--adapter", "caddyfile"],
        env={"MUNIMENT_SITE_NAME": NAME, "HOME": "/nonexistent", **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_is_well_and_has_no_door_for_administrators(site: Site) -> None:
    assert httpx.get(f"http://127.0.0.1:{site.health}/").status_code == 204
    settings = _adapted()
    assert settings["admin"]["disabled"] is True
    assert settings["admin"]["config"]["persist"] is False
    assert settings["apps"]["pki"]["certificate_authorities"]["local"]["install_trust"] is False


@pytest.mark.parametrize("certificate", ["internal", "/certificates/site.crt /certificates/site.key"])
def test_nothing_in_it_calls_out(certificate: str, site: Site) -> None:
    tls = _adapted(MUNIMENT_CERTIFICATE=certificate)["apps"]["tls"]
    assert tls["disable_ocsp_stapling"] is True
    for policy in tls["automation"]["policies"]:
        assert [issuer["module"] for issuer in policy["issuers"]] == ["internal"]
    assert "acme" not in site.log.read_text().lower()


def test_a_certificate_of_ones_own_is_taken(site: Site, tmp_path: Path) -> None:
    for kind in ("crt", "key"):
        source = next((site.folder / "caddy/certificates/local" / NAME).glob(f"*.{kind}"))
        (tmp_path / f"site.{kind}").write_bytes(source.read_bytes())
    done = subprocess.run(
        [str(CADDY), "validate", "--config", str(CADDYFILE), "--adapter", "caddyfile"],
        env={
            "MUNIMENT_SITE_NAME": NAME,
            "HOME": str(tmp_path),
            "MUNIMENT_CERTIFICATE": f"{tmp_path}/site.crt {tmp_path}/site.key",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

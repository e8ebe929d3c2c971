"""A certificate of the organisation's own: looked at before the real proxy serves with it."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings

from tests.compose import ROOT
from tests.proxy import Proxy
from tests.supervisor.conftest import eventually
from workers.upkeep import certificate
from workers.upkeep.errors import CertificateUnusable

NAME = "muniment.example.org"
DAY = timedelta(days=1)
Make = Callable[..., str]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Writes a certificate that lasts so long, and its key; gives what MUNIMENT_CERTIFICATE says then."""
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)

    def written(lasts: timedelta = 90 * DAY, name: str = NAME, begins: timedelta = -30 * DAY) -> str:
        key = ec.generate_private_key(ec.SECP256R1())
        subject, now = x509.Name([]), datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
        made = made.not_valid_before(now + begins).not_valid_after(now + lasts)
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
        pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        (tmp_path / "site.crt").write_bytes(pem)
        (tmp_path / "site.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return f"{tmp_path}/site.crt {tmp_path}/site.key"

    return written


def told_by_the_doctor() -> list[tuple[str, str]]:
    return [(finding.state.value, finding.sentence) for finding in certificate.look()]


@pytest.mark.parametrize("name", [NAME, "*.example.org"])
def test_one_that_lasts_is_told_with_its_end(make: Make, name: str) -> None:
    assert "is valid until" in certificate.check(make(name=name), NAME)
    assert [state for state, _sentence in told_by_the_doctor()] == ["ok"]


def test_one_that_ends_soon_is_used_and_warned_of(make: Make) -> None:
    assert "put a new one into the folder of certificates" in certificate.check(make(13 * DAY), NAME)
    assert [state for state, _sentence in told_by_the_doctor()] == ["warn"]


def test_one_that_has_ended_is_refused(make: Make) -> None:
    with pytest.raises(CertificateUnusable, match=r"ended on .*: put a new one into the folder"):
        certificate.check(make(-DAY), NAME)
    assert [state for state, _sentence in told_by_the_doctor()] == ["bad"]


def test_where_the_proxy_makes_its_own_the_doctor_says_nothing(make: Make) -> None:
    certificate.check(make(), NAME)
    assert "makes its own" in certificate.check("internal", NAME)
    assert told_by_the_doctor() == []


@pytest.mark.parametrize(
    ("lasts", "name", "begins", "why"),
    [
        (90 * DAY, "other.example.org", -DAY, "is not for muniment.example.org"),
        (90 * DAY, "*.org", -DAY, "is not for muniment.example.org"),
        (90 * DAY, NAME, DAY, "is not valid before"),
    ],
)
def test_one_that_browsers_refuse(
    make: Make, lasts: timedelta, name: str, begins: timedelta, why: str
) -> None:
    with pytest.raises(CertificateUnusable, match=why):
        certificate.check(make(lasts, name, begins), NAME)


def test_the_key_of_another(make: Make, tmp_path: Path) -> None:
    make()
    key = (tmp_path / "site.key").read_bytes()
    given = make()
    (tmp_path / "site.key").write_bytes(key)
    with pytest.raises(CertificateUnusable, match="The key is not the certificate's"):
        certificate.check(given, NAME)


@pytest.mark.parametrize("given", ["/nowhere.crt /nowhere.key", "/nowhere.crt", "{0} {0}", ""])
def test_what_cannot_be_read_is_told(make: Make, tmp_path: Path, given: str) -> None:
    (tmp_path / "text").write_text("no certificate")
    with pytest.raises(CertificateUnusable, match="MUNIMENT_CERTIFICATE"):
        certificate.check(given.format(tmp_path / "text"), NAME)


def test_its_container_ends_with_one_sentence_before_the_proxy_starts(
    make: Make, tmp_path: Path, services: dict[str, dict[str, Any]]
) -> None:
    settings = {
        "MUNIMENT_CERTIFICATE": make(-DAY),
        "MUNIMENT_SITE_NAME": NAME,
        "MUNIMENT_DATA": str(tmp_path),
    }
    command = [sys.executable, "manage.py", *services["certificate"]["command"]]
    done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: The proxy's certificate ended on")
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_proxy_goes_on_with_one_that_ended_meanwhile_and_browsers_say_so(
    make: Make, tmp_path: Path
) -> None:
    given = {"MUNIMENT_SITE_NAME": NAME, "MUNIMENT_CERTIFICATE": make(-DAY)}
    proxy = Proxy.start(tmp_path, ("127.0.0.1", 1), given)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "site.crt"))

    def refusal() -> str:
        try:
            with socket.create_connection(("127.0.0.1", proxy.https)) as plain:
                trusting.wrap_socket(plain, server_hostname=NAME)
        except ssl.SSLCertVerificationError as error:
            return error.verify_message
        except OSError:
            return ""
        return "accepted"

    try:
        eventually(refusal)
        assert refusal() == "certificate has expired"
    finally:
        proxy.stop()

"""The proxy's certificate, where the organisation brought its own: looked at before the proxy starts.

Only the check sees the folder with its key. What it found out, until when browsers accept the certificate, is
kept in the data folder, so that the doctor can warn in time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from workers.upkeep.errors import CertificateUnusable
from workers.upkeep.finding import Finding, State, bad, ok, warn

INTERNAL = "internal"
FORMAT = "muniment-certificate/1"
WARN_BEFORE = timedelta(days=14)


def check(given: str, site_name: str) -> str:
    """What to tell of the certificate that MUNIMENT_CERTIFICATE names. Raises CertificateUnusable."""
    kept = _kept()
    kept.unlink(missing_ok=True)
    if given == INTERNAL:
        return _("The proxy makes its own certificate and renews it.")
    certificate = _read(given)
    until = certificate.not_valid_after_utc
    kept.write_text(json.dumps({"format": FORMAT, "until": until.isoformat()}))
    if not _is_for(certificate, site_name):
        raise CertificateUnusable(
            _("The certificate is not for %(name)s: use one for that name, or set MUNIMENT_SITE_NAME.")
            % {"name": site_name}
        )
    if certificate.not_valid_before_utc > datetime.now(UTC):
        raise CertificateUnusable(
            _("The certificate is not valid before %(day)s: set this machine's clock, or use another.")
            % {"day": _day(certificate.not_valid_before_utc)}
        )
    finding = _until(until)
    if finding.state == State.BAD:
        raise CertificateUnusable(finding.sentence)
    return finding.sentence


def look() -> Iterator[Finding]:
    """For the doctor; nothing where the proxy makes its own."""
    try:
        told = json.loads(_kept().read_text())
    except FileNotFoundError:
        return
    yield _until(datetime.fromisoformat(told["until"]))


def _until(end: datetime) -> Finding:
    advice = _("put a new one into the folder of certificates and run `docker compose up -d` again.")
    words = {"day": _day(end), "advice": advice}
    left = end - datetime.now(UTC)
    if left <= timedelta(0):
        return bad("certificate", _("The proxy's certificate ended on %(day)s: %(advice)s") % words)
    if left <= WARN_BEFORE:
        return warn("certificate", _("The proxy's certificate ends on %(day)s: %(advice)s") % words)
    return ok("certificate", _("The proxy's certificate is valid until %(day)s.") % words)


def _read(given: str) -> x509.Certificate:
    """The first certificate of a chain, whose key lies beside it."""
    try:
        chain, key = (Path(place) for place in given.split())
        certificate = x509.load_pem_x509_certificates(chain.read_bytes())[0]
        fits = load_pem_private_key(key.read_bytes(), None).public_key() == certificate.public_key()
    except OSError as error:
        raise CertificateUnusable(
            _(
                "A file that MUNIMENT_CERTIFICATE names cannot be read (%(why)s): put certificate and key "
                "into deploy/proxy/certificates, readable for the account of the containers."
            )
            % {"why": error.strerror}
        ) from error
    except (ValueError, TypeError) as error:
        raise CertificateUnusable(
            _(
                "MUNIMENT_CERTIFICATE must name a certificate and its key without a passphrase, both in PEM, "
                "as in `/certificates/site.crt /certificates/site.key`."
            )
        ) from error
    if not fits:
        raise CertificateUnusable(_("The key is not the certificate's: name two that belong together."))
    return certificate


def _is_for(certificate: x509.Certificate, name: str) -> bool:
    """As browsers compare: a star stands for one label."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    wanted = {name.lower(), "*." + name.lower().partition(".")[2]}
    return bool(wanted & {found.lower() for found in names.get_values_for_type(x509.DNSName)})


def _day(moment: datetime) -> str:
    return date_format(moment, "j F Y")


def _kept() -> Path:
    return Path(settings.DATA_DIR) / "certificate.json"

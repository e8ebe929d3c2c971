"""`manage.py certificate`: what a site runs before its proxy starts."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from workers.upkeep import certificate
from workers.upkeep.errors import CertificateUnusable


class Command(BaseCommand):
    help = "Looks whether browsers will accept the certificate that MUNIMENT_CERTIFICATE names."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        given = os.environ.get("MUNIMENT_CERTIFICATE", certificate.INTERNAL)
        try:
            self.stdout.write(certificate.check(given, os.environ.get("MUNIMENT_SITE_NAME", "")))
        except CertificateUnusable as problem:
            raise CommandError(str(problem)) from problem

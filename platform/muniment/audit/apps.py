from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured

from muniment import switches


class AuditConfig(AppConfig):
    name = "muniment.audit"
    label = "audit"

    def ready(self) -> None:
        """In every process with Django: the switches still hold, and the tripwire is set."""
        from muniment.audit import egress

        if off := switches.changed():
            raise ImproperlyConfigured(f"Something switched off {', '.join(off)} since the start.")
        egress.install()

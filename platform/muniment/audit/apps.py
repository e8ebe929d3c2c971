from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "muniment.audit"
    label = "audit"

from django.apps import AppConfig


class TenancyConfig(AppConfig):
    name = "muniment.tenancy"
    label = "tenancy"

from django.apps import AppConfig

from muniment import wall


class TenancyConfig(AppConfig):
    name = "muniment.tenancy"
    label = "tenancy"

    def ready(self) -> None:
        wall.stand()

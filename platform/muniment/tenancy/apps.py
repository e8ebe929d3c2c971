from django.apps import AppConfig
from django.db.models.signals import post_migrate

from muniment import wall


class TenancyConfig(AppConfig):
    name = "muniment.tenancy"
    label = "tenancy"

    def ready(self) -> None:
        wall.stand()
        post_migrate.connect(wall.grant, sender=self, dispatch_uid="muniment.wall")

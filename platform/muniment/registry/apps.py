from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "muniment.registry"
    label = "registry"

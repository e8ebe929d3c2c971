from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "muniment.console"
    label = "console"

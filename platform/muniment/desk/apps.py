from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "muniment.desk"
    label = "desk"

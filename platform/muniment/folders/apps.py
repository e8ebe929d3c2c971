from django.apps import AppConfig


class FoldersConfig(AppConfig):
    name = "muniment.folders"
    label = "folders"

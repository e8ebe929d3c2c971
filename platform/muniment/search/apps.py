from django.apps import AppConfig


class SearchConfig(AppConfig):
    name = "muniment.search"
    label = "search"

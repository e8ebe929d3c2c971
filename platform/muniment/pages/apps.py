from django.apps import AppConfig


class PagesConfig(AppConfig):
    name = "muniment.pages"
    label = "pages"

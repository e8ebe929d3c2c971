from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    name = "muniment.documents"
    label = "documents"

from django.apps import AppConfig


class ConversationsConfig(AppConfig):
    name = "muniment.conversations"
    label = "conversations"

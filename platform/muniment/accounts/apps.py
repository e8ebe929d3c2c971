from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "muniment.accounts"
    label = "accounts"

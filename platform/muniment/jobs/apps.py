from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "muniment.jobs"
    label = "jobs"

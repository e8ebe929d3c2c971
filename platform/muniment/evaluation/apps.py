from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "muniment.evaluation"
    label = "evaluation"

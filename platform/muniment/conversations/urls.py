from django.urls import path

from muniment.conversations import live, views

urlpatterns = [
    path("", views.new_question, name="ask-page"),
    path("ask", views.ask, name="ask"),
    path("conversations/", views.history, name="conversations"),
    path("conversations/<uuid:conversation_id>/", views.conversation, name="conversation"),
    path("conversations/<uuid:conversation_id>/rename", views.rename, name="rename-conversation"),
    path("conversations/<uuid:conversation_id>/delete", views.delete, name="delete-conversation"),
    path("documents/<uuid:document_id>/answers", views.document_answers, name="document-answers"),
    path("turns/<uuid:turn_id>/", views.turn, name="turn"),
    path("turns/<uuid:turn_id>/stop", views.stop, name="stop-turn"),
    path("turns/<uuid:turn_id>/rate", views.rate, name="rate-turn"),
    path("turns/<uuid:turn_id>/again", views.ask_again, name="ask-again"),
    path("turns/<uuid:turn_id>/events", live.events, name="turn-events"),
    path("turns/<uuid:turn_id>/receipt", views.receipt, name="turn-receipt"),
    path("turns/<uuid:turn_id>/answer.<slug:format>", views.export, name="export-answer"),
    path("turns/<uuid:turn_id>/sources/<int:n>", views.source, name="turn-source"),
]

from django.urls import path

from muniment.desk import views

urlpatterns = [
    path("", views.home, name="desk"),
    path("checkpoint", views.checkpoint_page, name="checkpoint"),
    path("witness", views.witness_page, name="witness"),
    path("trail", views.trail_page, name="trail"),
    path("trail/export", views.export_page, name="trail-export"),
    path("trail/export/file", views.export_file, name="export-trail"),
    path("trail/export/<uuid:event_id>/manifest", views.export_manifest, name="export-manifest"),
    path("trail/<uuid:event_id>/proof", views.event_proof, name="event-proof"),
]

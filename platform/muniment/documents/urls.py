from django.urls import path

from muniment.documents import live, uploading, viewer, views

urlpatterns = [
    path("documents/", views.home, name="documents"),
    path("libraries/<slug:slug>/", views.library, name="library"),
    path("libraries/<slug:slug>/rows", views.rows, name="library-rows"),
    path("libraries/<slug:slug>/events", live.events, name="library-events"),
    path("libraries/<slug:slug>/documents", views.change_documents, name="library-documents"),
    path("uploads", uploading.begin, name="uploads"),
    path("uploads/<uuid:upload_id>", uploading.upload, name="upload"),
    path("documents/<uuid:document_id>", views.document, name="document"),
    path("documents/<uuid:document_id>/delete", views.delete, name="delete-document"),
    path("documents/<uuid:document_id>/move", views.move, name="move-document"),
    path("documents/<uuid:document_id>/label", views.relabel, name="relabel-document"),
    path("documents/<uuid:version_id>/retry", views.retry, name="retry"),
    path("documents/<uuid:version_id>/dismiss", views.dismiss, name="dismiss"),
    path("documents/<uuid:version_id>/pages/<int:number>", viewer.page, name="page"),
    path("documents/<uuid:version_id>/pages/<int:number>/picture", viewer.picture, name="picture"),
    path("documents/<uuid:version_id>/original", viewer.original, name="original"),
]

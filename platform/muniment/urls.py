"""Every address of the site, by room."""

from django.urls import URLPattern, URLResolver, include, path

handler500 = "muniment.accounts.problems.fault"
urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("muniment.accounts.urls")),
    path("", include("muniment.documents.urls")),
    path("", include("muniment.search.urls")),
    path("", include("muniment.conversations.urls")),
    path("desk/", include("muniment.desk.urls")),
    path("console/", include("muniment.console.urls")),
]

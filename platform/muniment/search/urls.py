from django.urls import path

from muniment.search import views

urlpatterns = [path("search", views.search, name="search")]

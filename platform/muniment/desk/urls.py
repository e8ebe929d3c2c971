from django.urls import path

from muniment.desk import views

urlpatterns = [
    path("", views.home, name="desk"),
    path("trail", views.trail_page, name="trail"),
]

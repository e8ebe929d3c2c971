from django.urls import path

from muniment.accounts import views

urlpatterns = [
    path("health", views.health, name="health"),
    path("sign-in", views.sign_in, name="sign-in"),
    path("sign-out", views.sign_out, name="sign-out"),
    path("profile", views.profile, name="profile"),
    path("profile/password", views.change_password, name="change-password"),
]

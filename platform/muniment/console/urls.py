from django.urls import path

from muniment.console import libraries, people, teams, views

urlpatterns = [
    path("", views.health, name="console"),
    path("models", views.models, name="models"),
    path("models/budget", views.budget, name="set-budget"),
    path("sovereignty", views.sovereignty, name="sovereignty"),
    path("people/", people.people, name="people"),
    path("people/create", people.create, name="create-person"),
    path("people/<uuid:person_id>", people.person, name="person"),
    path("people/<uuid:person_id>/reset", people.reset, name="reset-password"),
    path("people/<uuid:person_id>/deactivate", people.deactivate, name="deactivate-person"),
    path("people/<uuid:person_id>/activate", people.activate, name="activate-person"),
    path("teams/", teams.teams, name="teams"),
    path("teams/create", teams.create, name="create-team"),
    path("teams/<uuid:team_id>", teams.team, name="team"),
    path("teams/<uuid:team_id>/delete", teams.delete, name="delete-team"),
    path("teams/<uuid:team_id>/members", teams.add, name="add-member"),
    path("teams/<uuid:team_id>/members/<uuid:person_id>/remove", teams.remove, name="remove-member"),
    path("libraries/", libraries.libraries, name="libraries"),
    path("libraries/create", libraries.create, name="create-library"),
    path("libraries/<uuid:library_id>", libraries.library, name="library-settings"),
    path("libraries/<uuid:library_id>/delete", libraries.delete, name="delete-library"),
    path("libraries/<uuid:library_id>/grants", libraries.grant, name="give-access"),
    path("grants/<uuid:grant_id>/revoke", libraries.revoke, name="revoke-access"),
]

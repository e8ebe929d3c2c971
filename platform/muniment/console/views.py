"""Pages of the site administrator: health, models and sovereignty."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from muniment.accounts.requests import scope_of_request, wants_part
from muniment.audit import actions
from muniment.audit.services import record_alone
from muniment.console import queries
from muniment.console.forms import BudgetForm
from muniment.pages.errors import Invalid, NotFound
from muniment.registry.models import Engine
from muniment.registry.queries import present_engine
from muniment.registry.services import set_budget


@require_GET
def health(request: HttpRequest) -> HttpResponse:
    scope = scope_of_request(request)
    context = {"health": queries.health(scope), "doctor_url": "", "models_url": reverse("models")}
    if wants_part(request):
        return render(request, "console/_health.html", context)
    # The page asks again every few seconds while it is open: that is one look, not hundreds.
    record_alone(scope, actions.HEALTH_VIEWED)
    return render(request, "console/health.html", context)


@require_GET
def sovereignty(request: HttpRequest) -> HttpResponse:
    scope = scope_of_request(request)
    context = {"sovereignty": queries.sovereignty(scope), "command": "manage.py sovereignty report FILE"}
    record_alone(scope, actions.SOVEREIGNTY_VIEWED)
    return render(request, "console/sovereignty.html", context)


@require_GET
def models(request: HttpRequest) -> HttpResponse:
    rows = queries.models(scope_of_request(request))
    engine = present_engine()
    context = {
        "models": rows,
        "budget": _budget(engine) if engine else None,
        "folder": settings.MODELS_DIR,
        "command": "manage.py models get NAME",
    }
    return render(request, "console/models.html", context)


def _budget(engine: Engine) -> dict[str, object]:
    return {
        "first_word_seconds": settings.FIRST_WORD_SECONDS,
        "tokens": engine.prompt_budget,
        "by_hand": engine.budget_by_hand is not None,
        "tokens_per_second": engine.prompt_speed,
        "measured": engine.tried_at,
        "form": BudgetForm(initial={"budget": engine.budget_by_hand}),
        "url": reverse("set-budget"),
    }


@require_POST
def budget(request: HttpRequest) -> HttpResponse:
    scope = scope_of_request(request)
    queries.require_site_admin(scope)
    engine = present_engine()
    if engine is None:
        raise NotFound
    form = BudgetForm(request.POST)
    try:
        if not form.is_valid():
            raise Invalid(_("The budget is a whole number of tokens."))
        set_budget(scope, engine.model, form.cleaned_data["budget"])
        messages.success(request, _("The budget is saved. It counts from the next question."))
    except Invalid as problem:
        messages.error(request, str(problem.detail))
    return redirect("models")

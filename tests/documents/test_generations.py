"""Which making of the index answers, and how another one takes its place."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from muniment.documents import generations
from muniment.documents.generations import Making
from muniment.documents.models import Generation, GenerationState

pytestmark = pytest.mark.django_db

FIRST = Making("mini", "a" * 64, 384, splitter=1, words=1)


def test_a_new_installation_has_none() -> None:
    assert generations.serving() is None


def test_the_first_one_serves_at_once_and_is_begun_once() -> None:
    first = generations.begin_first(FIRST)
    assert generations.begin_first(Making("other", "b" * 64, 32, splitter=2, words=2)) == first
    assert generations.serving() == first
    assert (first.number, generations.making(first)) == (1, FIRST)


@pytest.mark.parametrize("state", [GenerationState.SERVING, GenerationState.BUILDING])
def test_no_two_serve_or_are_built(state: GenerationState) -> None:
    fields = vars(FIRST) | {"state": state}
    Generation.objects.create(number=1, **fields)
    with pytest.raises(IntegrityError), transaction.atomic():
        Generation.objects.create(number=2, **fields)

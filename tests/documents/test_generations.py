"""Which making of the index answers, and how another one takes its place."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from muniment.documents import generations, services
from muniment.documents.errors import IndexChanged
from muniment.documents.generations import Making
from muniment.documents.models import Generation, GenerationState, Passage, Version, VersionState
from muniment.documents.queries import text_of
from muniment.pages.errors import Forbidden
from muniment.scope import Role, Scope
from muniment.tenancy.models import Library
from tests.factories import make_document, make_library, make_person, make_tenant, make_version, scope_for
from tests.house import events

FIRST = Making("mini", "a" * 64, 384, splitter=1, words=1)
OTHER = Making("other", "b" * 64, 32, splitter=1, words=1)
TEXTS = ("Doors close at ten.", "The lamp is green.")


@pytest.fixture
def administrator(db: None) -> Scope:
    return scope_for(make_person(make_tenant(), roles=[Role.SITE_ADMIN]))


@pytest.fixture
def library(db: None) -> Library:
    return make_library(make_tenant())


@pytest.fixture
def version(library: Library) -> Version:
    """Published, and in the first index."""
    generations.begin_first(FIRST)
    current = make_document(library, texts=TEXTS).current
    assert current
    return current


def cut_for(version: Version, number: int) -> None:
    """The whole text as one passage of another cut."""
    text = text_of(version, 0, 40)
    where = {"ordinal": 0, "start": 0, "end": len(text), "page": 1, "page_end": 2}
    Passage.objects.create(
        id=uuid4(), tenant=version.tenant, version=version, cut=number, text=text, sha256="", **where
    )


class TestBeginning:
    def test_a_new_installation_has_none(self, db: None) -> None:
        assert generations.serving() is None
        assert generations.hold() == 0

    def test_the_first_one_serves_at_once_and_is_begun_once(self, db: None) -> None:
        first = generations.begin_first(FIRST)
        assert generations.begin_first(OTHER) == first
        assert generations.serving() == first
        assert (first.number, generations.making(first)) == (1, FIRST)

    @pytest.mark.parametrize("state", [GenerationState.SERVING, GenerationState.BUILDING])
    def test_no_two_serve_or_are_built(self, state: GenerationState, db: None) -> None:
        fields = vars(FIRST) | {"state": state}
        Generation.objects.create(number=1, **fields)
        with pytest.raises(IntegrityError), transaction.atomic():
            Generation.objects.create(number=2, **fields)

    def test_one_that_is_built_so_goes_on_and_another_gives_it_up(self, administrator: Scope) -> None:
        generations.begin_first(FIRST)
        second = generations.begin(administrator, OTHER)
        assert generations.begin(administrator, OTHER) == second
        third = generations.begin(administrator, Making("third", "c" * 64, 32, splitter=1, words=1))
        assert (third.number, generations.building()) == (3, third)
        assert generations.serving().number == 1  # type: ignore[union-attr]  # the first one
        second.refresh_from_db()
        assert second.state == GenerationState.RETIRED

    @pytest.mark.parametrize(
        ("made", "cuts"),
        [
            (OTHER, True),
            (Making("mini", "a" * 64, 384, splitter=2, words=1), True),
            (Making("mini", "a" * 64, 384, splitter=1, words=2), False),
        ],
    )
    def test_text_is_cut_anew_for_another_embedder_or_splitter_alone(
        self, made: Making, cuts: bool, administrator: Scope
    ) -> None:
        generations.begin_first(FIRST)
        assert generations.begin(administrator, made).cuts is cuts

    @pytest.mark.parametrize("role", [Role.TENANT_ADMIN, Role.CURATOR])
    def test_others_may_not(self, role: Role, db: None) -> None:
        scope = scope_for(make_person(make_tenant(), roles=[role]))
        for attempt in (lambda: generations.begin(scope, OTHER), lambda: generations.abandon(scope)):
            with pytest.raises(Forbidden):
                attempt()


class TestSwitching:
    def test_not_while_something_published_is_missing(self, version: Version, administrator: Scope) -> None:
        new = generations.begin(administrator, OTHER)
        assert not generations.switch(new.number)
        assert generations.hold() == 1

    def test_passages_of_the_new_cut_become_the_versions_own(
        self, version: Version, administrator: Scope
    ) -> None:
        whole = text_of(version, 0, 40)
        new = generations.begin(administrator, OTHER)
        cut_for(version, new.number)
        assert text_of(version, 0, 40) == whole, "nobody sees the new cut before the switch"
        assert generations.mark(version, new.number)
        assert generations.switch(new.number)
        version.refresh_from_db()
        assert (version.cut, version.passage_count) == (2, 1)
        assert version.own_passages.get().cut == 2
        assert text_of(version, 0, 40) == whole
        assert generations.hold() == 2
        assert len(events("index.switched")) == 2, "in the trail of every tenant"

    def test_a_replaced_version_keeps_its_text(self, library: Library, administrator: Scope) -> None:
        generations.begin_first(FIRST)
        old = make_document(library, texts=TEXTS).current
        assert old
        Version.objects.filter(pk=old.pk).update(state=VersionState.SUPERSEDED)
        assert generations.switch(generations.begin(administrator, OTHER).number)
        old.refresh_from_db()
        assert text_of(old, 0, 40).startswith("Doors close at ten.")

    def test_what_went_into_the_old_index_is_not_published_any_more(
        self, library: Library, administrator: Scope
    ) -> None:
        generations.begin_first(FIRST)
        document = make_document(library)
        late = make_version(document, VersionState.EMBEDDING, b"late")
        assert generations.switch(generations.begin(administrator, OTHER).number) is False
        assert document.current and generations.mark(document.current, 2)
        assert generations.switch(2)
        with pytest.raises(IndexChanged):
            services.publish(Scope(tenant=library.tenant_id), late)
        late.refresh_from_db()
        assert late.state == VersionState.EMBEDDING
        assert generations.mark(late, 2)
        services.publish(Scope(tenant=library.tenant_id), late)

    @pytest.mark.parametrize("state", generations.GONE)
    def test_what_is_out_of_view_is_not_noted(self, state: VersionState, version: Version) -> None:
        Version.objects.filter(pk=version.pk).update(state=state)
        assert not generations.mark(version, 2)


@pytest.mark.django_db(transaction=True)
def test_a_switch_waits_for_whoever_is_just_publishing() -> None:
    """Else what goes into the old index in that moment would be missing in the new one."""
    generations.begin_first(FIRST)
    administrator = scope_for(make_person(make_tenant(), roles=[Role.SITE_ADMIN]))
    library = make_library(make_tenant())
    document = make_document(library)
    assert document.current
    new = generations.begin(administrator, OTHER)
    generations.mark(document.current, new.number)
    late = make_version(document, VersionState.EMBEDDING, b"late")
    publishing, tried = threading.Event(), threading.Event()

    def publish() -> None:
        with transaction.atomic():
            services.publish(Scope(tenant=library.tenant_id), late)
            publishing.set()
            tried.wait(1)
        connection.close()

    def switch() -> bool:
        publishing.wait(10)
        done = generations.switch(new.number)
        tried.set()
        connection.close()
        return done

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(publish), pool.submit(switch)
        first.result()
        assert second.result() is False
    assert generations.serving().number == 1  # type: ignore[union-attr]  # the first one
    late.refresh_from_db()
    assert late.state == VersionState.PUBLISHED

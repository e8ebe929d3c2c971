"""A person with a library, a worker that only says what it is told, and the site on a real server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
import pytest
import uvicorn
from django.test import Client

from muniment.accounts.models import Person
from muniment.conversations import services
from muniment.conversations.models import Source, Turn, TurnState
from muniment.conversations.statements import Statement, Verdict
from muniment.documents.models import Document, Passage
from muniment.jobs import services as jobs
from muniment.jobs.models import Job, Kind
from muniment.scope import Scope
from tests.factories import make_document, make_library, make_person, make_tenant, scope_for

TEXTS = (
    "Reports are made with the form. Every incident is reported within 24 hours. Near misses have 3 days.",
    "The shift lead is told first, at once and by voice.",
)


@pytest.fixture
def mara() -> Person:
    """Who asks: reads the library `handbook`, which has one document."""
    person = make_person(make_tenant(), "mara")
    make_document(make_library(person.tenant, "Handbook", readers=[person]), "incidents.pdf", TEXTS)
    return person


@pytest.fixture
def scope(mara: Person) -> Scope:
    return scope_for(mara)


@pytest.fixture
def stranger(mara: Person) -> Person:
    """Somebody of the same tenant who reads the same library."""
    return make_person(mara.tenant, "stranger")


def client_of(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def page(mara: Person) -> Client:
    """Mara's browser without scripts."""
    return client_of(mara)


@pytest.fixture
def turn(scope: Scope) -> Turn:
    return services.ask(scope, "When must an incident be reported?")


class Worker:
    """Takes a turn's job and goes through an answer's steps as the real worker does, without a model."""

    def __init__(self, scope: Scope, turn: Turn) -> None:
        self.scope, self.turn = scope, turn
        self.job = self.take()

    def take(self) -> Job:
        job = Job.objects.get(kind=Kind.ANSWER, subject=self.turn.id)
        taken = jobs.take(job.id, job.tenant, f"worker-{uuid4().hex[:6]}")
        assert taken is not None
        return taken

    def say(self, event: str, **data: object) -> None:
        services.tell(self.turn, event, data)

    def search(self, tell: bool = True) -> None:
        services.begin_search(self.turn)
        passages = Passage.objects.filter(tenant=self.turn.tenant).order_by("ordinal")
        services.store_sources(
            self.turn,
            self.turn.question,
            [self._source(n, passage) for n, passage in enumerate(passages, 1)],
            {"search": 0.3},
        )
        if tell:
            self.say("sources", count=len(passages))

    def _source(self, n: int, passage: Passage) -> Source:
        start = passage.text.find("Every")
        best = (start, passage.text.index("hours.") + 6) if start >= 0 else (0, len(passage.text))
        return Source(
            tenant=self.turn.tenant,
            turn=self.turn,
            n=n,
            passage=passage.id,
            document=passage.version.document_id,
            version=passage.version_id,
            page=passage.page,
            score=1 / n,
            best_start=best[0],
            best_end=best[1],
        )

    def begin(self, given: tuple[int, ...] = (1, 2), left_out: int = 0) -> None:
        services.begin_answer(self.scope, self.turn, "small-model", "the prompt", given, left_out)

    def write(self, *tokens: str) -> None:
        for token in tokens:
            self.say("token", text=token)

    def end(
        self,
        state: TurnState = TurnState.ANSWERED,
        answer: str = "Within 24 hours [1].",
        cited: tuple[int, ...] = (1,),
        tell: bool = True,
    ) -> None:
        verdict = Verdict.SUPPORTED if cited else Verdict.UNSUPPORTED
        found = [Statement(0, len(answer), verdict, cited)] if answer else []
        services.end_answer(self.scope, self.turn, state, answer, found)
        jobs.finish(self.job)
        if tell:
            self.say("done", state=state.value)

    def answer(self, answer: str = "Within 24 hours [1].", left_out: int = 0) -> None:
        self.search()
        self.begin(left_out=left_out)
        self.write(answer)
        self.end(answer=answer)


@pytest.fixture
def worker(scope: Scope, turn: Turn) -> Worker:
    return Worker(scope, turn)


@pytest.fixture
def answered(worker: Worker) -> Turn:
    worker.answer()
    return worker.turn


@pytest.fixture
def document(mara: Person) -> Document:
    return Document.objects.get(tenant=mara.tenant_id)


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The address of the site, on the server that it runs on in production."""
    from muniment.asgi import application

    config = uvicorn.Config(application, host="127.0.0.1", port=0, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = server.force_exit = True
    thread.join(timeout=10)


@dataclass
class Told:
    event: str
    data: dict[str, object]
    id: str
    at: float


@dataclass
class Tab:
    """A browser's connection to a stream, read in the background."""

    url: str
    client: Client
    headers: dict[str, str] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    status: int = 0
    ended: float = 0.0

    def open(self) -> Tab:
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()
        wait_until(lambda: self.status != 0)
        return self

    def _read(self) -> None:
        cookies = {name: morsel.value for name, morsel in self.client.cookies.items()}
        headers = {"Accept": "text/event-stream", **self.headers}
        with httpx.stream("GET", self.url, cookies=cookies, headers=headers, timeout=30) as reply:
            self.status = reply.status_code
            self._hear(reply.iter_lines())
        self.ended = time.monotonic()

    def _hear(self, lines: Iterator[str]) -> None:
        found: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            if line:
                found[name] = value
            elif "event" in found:
                data = json.loads(found["data"])
                self.told.append(Told(found["event"], data, found.get("id", ""), time.monotonic()))
                found = {}

    def names(self) -> list[str]:
        return [told.event for told in self.told]

    def last(self, event: str) -> Told:
        return [told for told in self.told if told.event == event][-1]

    def text(self) -> str:
        return "".join(str(told.data["text"]) for told in self.told if told.event == "token")

    def wait_text(self, text: str) -> None:
        """Until these words have come, and no others."""
        wait_until(lambda: len(self.text()) >= len(text))
        assert self.text() == text

    def wait(self, event: str, seconds: float = 5) -> Told:
        wait_until(lambda: event in self.names(), seconds)
        return self.last(event)

    def wait_end(self, seconds: float = 5) -> float:
        wait_until(lambda: self.ended > 0, seconds)
        return self.ended


def wait_until(true: Callable[[], bool], seconds: float = 5) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "this did not come"
        time.sleep(0.01)


@pytest.fixture
def open_tab(site: str, page: Client, transactional_db: None) -> Iterator[Callable[..., Tab]]:
    """Opens a turn's stream in a tab of Mara's browser. After the test no stream is left running."""
    opened: list[Tab] = []

    def open_(turn: Turn, client: Client = page, **headers: str) -> Tab:
        opened.append(Tab(f"{site}/turns/{turn.id}/events", client, headers).open())
        return opened[-1]

    yield open_
    Turn.objects.all().delete()
    for tab in opened:
        tab.wait_end()

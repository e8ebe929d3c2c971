"""Puts hostile text wherever an installation shows text of others; runs in a process of the installation.

python manage.py shell -c "from tests.browser.planting import main; main('HOST:PORT', whole, 'FOLDER')"
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db.models import Min
from django.utils import timezone

from muniment.accounts.models import Person
from muniment.accounts.services import create_person, scope_of_person
from muniment.conversations.models import Conversation, Feedback, Source, Turn, TurnState
from muniment.conversations.statements import Statement, Verdict, stored
from muniment.documents.models import Document, Passage
from muniment.evaluation.models import Case, Result, Run, RunState
from muniment.folders.models import LONGEST_PATH, File, Folder, FolderState
from muniment.jobs.streams import append, turn_key
from muniment.scope import Origin, Role, Scope
from muniment.tenancy.models import Level, Library
from muniment.tenancy.services import create_library, create_team, give_access
from tests.exfiltration import payloads

LONGEST_NAME = 120
AT_ONCE = 40
# File names: a slash would end one, so their own addresses have none.
FILES = (
    "<img src=x onerror=planted()>.txt",
    "![x](javascript:planted()).md",
    "\"><svg onload=planted()>'.html",
    "[1](data:text;html,planted) {{x}}.csv",
)
# `|safe` or a forgotten quote would let these out.
BROKEN = '</title></textarea>"><img src=x onerror=planted()>.pdf'


def main(place: str, whole: bool, folder: str) -> None:
    texts = payloads(place, whole)
    admin, staff = (Person.objects.get(username=name) for name in ("admin", "staff"))
    scope = scope_of_person(admin, Origin(kind="cli"))
    library = _libraries(scope, _names(texts, LONGEST_NAME, 60 if whole else 12))
    ids: dict[str, Any] = {"library": library.slug, "library_id": str(library.id)}
    teams = [create_team(scope, name) for name in _names(texts[100:], LONGEST_NAME, 60 if whole else 12)]
    ids["team"] = str(teams[0].id)
    people = _names(texts[200:], 60, 12 if whole else 6)
    made = [create_person(scope, f"planted-{n}", name, [Role.STAFF])[0] for n, name in enumerate(people)]
    ids["person"] = str(made[0].id)
    _documents(library, texts, Path(folder))
    documents = list(Document.objects.filter(library=library, current__isnull=False).order_by("name"))
    ids["documents"] = [str(document.id) for document in documents]
    ids["version"] = str(documents[0].current_id)
    ids |= _conversations(staff, library, texts)
    ids["folder"] = _folder(library, texts)
    ids["run"] = _quality(admin, library, documents, texts)
    sys.stdout.write(json.dumps(ids))


def _names(texts: list[str], longest: int, count: int) -> list[str]:
    """Names made of as many payloads as fit."""
    found, name = [], ""
    for text in (" ".join(text.split()) for text in texts if text.isprintable()):
        if name and len(name) + len(text) >= longest:
            found.append(name)
            name = ""
        name = f"{name} {text}".strip() if len(text) < longest else name
    return list(islice(dict.fromkeys(found), count))


def _libraries(scope: Scope, names: list[str]) -> Library:
    """The first gets the documents; everybody may add to all of them."""
    made = [create_library(scope, name) for name in names]
    for library in made:
        give_access(scope, library.id, Level.CONTRIBUTE)
    return made[0]


def _documents(library: Library, texts: list[str], folder: Path) -> None:
    """Read by the real readers. The one that is no PDF stays among the files in work, with its error."""
    for number, name in enumerate(FILES):
        some = texts[::6] if number else texts
        (folder / name).write_text("\n\n".join(some).replace("\0", ""))
    (folder / BROKEN.replace("/", "\u2215")).write_text("%PDF-1.7 broken")
    paths = [str(path) for path in sorted(folder.iterdir())]
    with suppress(SystemExit):  # because of the broken one
        call_command("ingest", *paths, library=library.slug, wait=True, stdout=sys.stderr)


def _conversations(staff: Person, library: Library, texts: list[str]) -> dict[str, str]:
    """Answers as a model would have written them: finished ones, and one that is on its way."""
    first = Passage.objects.filter(version__document__library=library).values("version").annotate(Min("id"))
    passages = list(Passage.objects.filter(pk__in=[row["id__min"] for row in first]))
    passages += list(Passage.objects.filter(version__document__library=library).order_by("-ordinal")[:4])
    done, live = (
        Conversation.objects.create(
            tenant=staff.tenant_id, person=staff.id, title=title, libraries=[str(library.id)]
        )
        for title in texts[60:62]
    )
    turns = [
        _turn(done, number, batch, passages, TurnState.ANSWERED)
        for number, batch in enumerate(_batches(texts, AT_ONCE), 1)
    ]
    hostile = "\n".join(texts[:AT_ONCE]).replace("\0", "")
    Feedback.objects.create(tenant=done.tenant, turn=turns[0], value=-1, reason=hostile, shared=True)
    failed = Turn.objects.create(
        tenant=done.tenant,
        conversation=done,
        ordinal=len(turns) + 1,
        state=TurnState.FAILED,
        error_code=texts[60][:40],
        question=texts[61],
    )
    growing = _turn(live, 1, texts, passages, TurnState.ANSWERING)
    key = turn_key(live.tenant, growing.id)
    append(key, "sources", {"count": len(passages)})
    for text in texts:
        # Cut within, as tokens are.
        append(key, "token", {"text": text[: len(text) // 2]})
        append(key, "token", {"text": text[len(text) // 2 :] + "\n\n"})
    append(key, "token", {"text": "The last word."})
    return {
        "conversation": str(done.id),
        "turn": str(turns[0].id),
        "failed": str(failed.id),
        "live": str(live.id),
    }


def _folder(library: Library, texts: list[str]) -> str:
    """A mapped folder, paused so that nobody looks for it, whose files could not be taken."""
    about = {"tenant": library.tenant_id}
    paths = [f"/{text}" for text in _names(texts, LONGEST_PATH, 40)]
    folder = Folder.objects.create(library=library, path=paths[0], state=FolderState.PAUSED, **about)
    File.objects.bulk_create(File(folder=folder, path=path, trouble="link", **about) for path in paths)
    return str(folder.id)


def _quality(admin: Person, library: Library, documents: list[Document], texts: list[str]) -> str:
    """Kept questions and what a run of them found, for an administrator who curates as well."""
    Person.objects.filter(pk=admin.pk).update(roles=[*admin.roles, Role.CURATOR.value])
    about = {"tenant": library.tenant_id, "library": library}
    cases = [
        Case.objects.create(question="\n".join(some).replace("\0", ""), **about)
        for some in _batches(texts, AT_ONCE)
    ]
    run = Run.objects.create(state=RunState.DONE, name=texts[0][:120], finished_at=timezone.now(), **about)
    found = [{"document": str(document.id), "page": 1, "score": 1.0} for document in documents]
    Result.objects.bulk_create(
        Result(
            tenant=run.tenant,
            run=run,
            ordinal=ordinal,
            query=str(case.id),
            question=case.question,
            found=found,
        )
        for ordinal, case in enumerate(cases)
    )
    return str(run.id)


def _turn(
    conversation: Conversation, ordinal: int, texts: Iterable[str], passages: list[Passage], state: TurnState
) -> Turn:
    texts = list(texts)
    text = "As [1] and [2, 3] say:\n\n" + "\n\n".join(texts).replace("\0", "")
    question = " ".join(texts[:5])
    turn = Turn.objects.create(
        tenant=conversation.tenant,
        conversation=conversation,
        ordinal=ordinal,
        state=state,
        model=texts[0][:120],
        question=question,
        searched=texts[-1],
        answer=text if state == TurnState.ANSWERED else "",
        timings={"search": 0.1},
        receipt={"prompt_commit": text, "llm_sha256": text, "params": {}},
    )
    for n, passage in enumerate(passages, 1):
        Source.objects.create(
            tenant=turn.tenant,
            turn=turn,
            n=n,
            passage=passage.id,
            document=passage.version.document_id,
            version=passage.version_id,
            page=passage.page,
            score=1.0,
            best_start=0,
            best_end=len(passage.text) // 2,
            given=True,
            cited=True,
        )
    return turn


def _batches(texts: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def answer(username: str, library: str, answer: str) -> None:
    """A finished answer of this person's from the first passage of each document of a library."""
    person = Person.objects.get(username=username)
    passages = Passage.objects.filter(version__document__library__slug=library, ordinal=0)
    conversation = Conversation.objects.create(
        tenant=person.tenant_id, person=person.id, title="When does the harbour close?"
    )
    turn = _turn(conversation, 1, ["When does the harbour close?"], list(passages), TurnState.ANSWERED)
    turn.answer, turn.model = answer, "small-model"
    turn.statements = stored([Statement(0, len(answer), Verdict.WEAK, (1,), 0.4, "number")])
    turn.receipt = {}
    turn.save()
    sys.stdout.write(json.dumps({"conversation": str(conversation.id)}))

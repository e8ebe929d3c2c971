"""The catalogue of events: every action that leaves a trace, and why it is kept.

A body may carry only the detail fields named here, so that nobody slips a name or free text into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Stage(StrEnum):
    INTENT = "intent"
    OUTCOME = "outcome"
    DENIED = "denied"
    PANIC = "panic"


class Outcome(StrEnum):
    DONE = "done"
    PENDING = "pending"
    DENIED = "denied"
    FAILED = "failed"
    UNKNOWN = "unknown"


OUTCOME_WORDS: dict[Outcome, str | Promise] = {
    Outcome.DONE: _("done"),
    Outcome.PENDING: _("begun"),
    Outcome.DENIED: _("denied"),
    Outcome.FAILED: _("failed"),
    Outcome.UNKNOWN: _("unknown"),
}


@dataclass(frozen=True)
class Action:
    """`verb` completes "somebody ...". `details`: numbers, ids, hashes, codes; `private`: personal values."""

    name: str
    verb: str | Promise
    why: str | Promise
    details: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()


CATALOGUE: dict[str, Action] = {}


def _action(name: str, verb: Promise, why: Promise, details: str = "", private: str = "") -> str:
    CATALOGUE[name] = Action(name, verb, why, frozenset(details.split()), frozenset(private.split()))
    return name


_ACCESS = _("Who had access, and when.")
_RIGHTS = _("Who could see what, and who decided it.")
_CONTENT = _("Which documents were there, and who put them there.")
_USE = _("Who saw which text, and on what an answer rests.")
_CARE = _("What was done to the installation itself.")

SIGNED_IN = _action("session.signed_in", _("signed in"), _ACCESS)
SIGN_IN_FAILED = _action("session.sign_in_failed", _("failed to sign in"), _ACCESS, private="username")
SIGNED_OUT = _action("session.signed_out", _("signed out"), _ACCESS)
PASSWORD_CHANGED = _action("person.password_changed", _("changed a password"), _ACCESS)
PASSWORD_RESET = _action("person.password_reset", _("reset a password"), _ACCESS, private="username")

PERSON_CREATED = _action("person.created", _("created a person"), _RIGHTS, "roles clearance", "username name")
PERSON_DEACTIVATED = _action("person.deactivated", _("deactivated a person"), _RIGHTS, private="username")
PERSON_ACTIVATED = _action("person.activated", _("activated a person"), _RIGHTS, private="username")
ROLES_CHANGED = _action(
    "person.roles_changed", _("changed roles"), _RIGHTS, "roles roles_before clearance", "username"
)
TENANT_CREATED = _action("tenant.created", _("created a tenant"), _RIGHTS, private="name")
QUOTES_ONLY_CHANGED = _action(
    "tenant.quotes_only_changed", _("changed how questions are answered"), _RIGHTS, "quotes_only"
)
TEAM_CREATED = _action("team.created", _("created a team"), _RIGHTS, private="name")
TEAM_DELETED = _action("team.deleted", _("deleted a team"), _RIGHTS, private="name")
TEAM_MEMBER_ADDED = _action(
    "team.member_added", _("added somebody to a team"), _RIGHTS, "person", "name username"
)
TEAM_MEMBER_REMOVED = _action(
    "team.member_removed", _("took somebody out of a team"), _RIGHTS, "person", "name username"
)
LIBRARY_CREATED = _action("library.created", _("created a library"), _RIGHTS, "label", "name")
LIBRARY_CHANGED = _action("library.changed", _("changed a library"), _RIGHTS, "label", "name")
LIBRARY_DELETED = _action("library.deleted", _("deleted a library"), _CONTENT, "documents", "name")
GRANT_GIVEN = _action(
    "grant.given", _("gave access to a library"), _RIGHTS, "level team person everyone", "name to"
)
GRANT_REVOKED = _action(
    "grant.revoked", _("took access to a library away"), _RIGHTS, "level team person everyone", "name to"
)

DOCUMENT_UPLOADED = _action(
    "document.uploaded", _("uploaded a document"), _CONTENT, "library version size sha256 number", "name"
)
DOCUMENT_PUBLISHED = _action(
    "document.published", _("published a document"), _CONTENT, "library version number pages passages"
)
DOCUMENT_FAILED = _action(
    "document.failed", _("could not read a document"), _CONTENT, "library version number code"
)
DOCUMENT_RETRIED = _action("document.retried", _("tried a document again"), _CONTENT, "library version")
DOCUMENT_MOVED = _action("document.moved", _("moved a document"), _CONTENT, "library library_before", "name")
DOCUMENT_LABELLED = _action(
    "document.labelled", _("changed a document's label"), _RIGHTS, "library label label_before", "name"
)
DOCUMENT_DELETED = _action("document.deleted", _("deleted a document"), _CONTENT, "library versions", "name")
DOCUMENT_REMOVED = _action(
    "document.removed", _("removed the last copy of a document"), _CONTENT, "library versions points"
)
DOCUMENT_VIEWED = _action(
    "document.viewed", _("viewed a page"), _USE, "library version page page_end passage", "name"
)
DOCUMENT_DOWNLOADED = _action(
    "document.downloaded", _("downloaded a document"), _USE, "library version sha256", "name"
)
DOCUMENT_ANSWERS_VIEWED = _action(
    "document.answers_viewed", _("looked which answers cite a document"), _USE, "library counted"
)

FOLDER_MAPPED = _action("folder.mapped", _("mapped a folder to a library"), _RIGHTS, "library label", "path")
FOLDER_UNMAPPED = _action("folder.unmapped", _("unmapped a folder"), _CONTENT, "library files", "path")
FOLDER_PAUSED = _action(
    "folder.paused", _("stopped following a folder"), _CONTENT, "library files missing", "path"
)
FOLDER_RESUMED = _action("folder.resumed", _("went on following a folder"), _CONTENT, "library", "path")
FOLDER_CONFIRMED = _action(
    "folder.confirmed", _("confirmed that files are gone from a folder"), _CONTENT, "library missing", "path"
)
# `change` is added, changed or removed; the document's own events say the rest.
FOLDER_FOLLOWED = _action(
    "folder.followed", _("followed a file of a folder"), _CONTENT, "library document change", "path"
)

SEARCHED = _action("search.made", _("searched"), _USE, "libraries hits", "query")
QUESTION_ASKED = _action(
    "question.asked", _("asked"), _USE, "conversation libraries documents mode", "question"
)
ANSWER_STARTED = _action("answer.started", _("began an answer"), _USE, "conversation model prompt_commit")
ANSWER_FINISHED = _action(
    "answer.finished",
    _("answered"),
    _USE,
    "conversation state index_generation embed_model_sha256 rerank_model_sha256 llm_sha256 template_sha256 "
    "params passages answer_commit tokens_in tokens_out finish_reason",
)
RECEIPT_TAKEN = _action("answer.receipt_taken", _("took the receipt of an answer"), _USE, "sha256")
ANSWER_EXPORTED = _action("answer.exported", _("took an answer along as a file"), _USE, "format sha256")
ANSWER_REPLAYED = _action("answer.replayed", _("made an answer again from its receipt"), _USE, "verdict")
ANSWER_STOPPED = _action("answer.stopped", _("stopped an answer"), _USE, "conversation")
ANSWER_RATED = _action("answer.rated", _("rated an answer"), _USE, "conversation value shared", "reason")
CONVERSATION_VIEWED = _action("conversation.viewed", _("opened a conversation"), _USE)
CONVERSATION_RENAMED = _action("conversation.renamed", _("renamed a conversation"), _USE, private="title")
CONVERSATION_DELETED = _action("conversation.deleted", _("deleted a conversation"), _CONTENT, "turns")

FEEDBACK_VIEWED = _action("feedback.viewed", _("looked at what people found not right"), _USE, "turns")
CASE_ADDED = _action("case.added", _("kept a question for measuring"), _USE, "library turn", "question")
CASE_CHANGED = _action(
    "case.changed", _("changed a question for measuring"), _USE, "library turn", "question"
)
CASE_REMOVED = _action("case.removed", _("removed a kept question"), _USE, "library", "question")
EVALUATION_BEGUN = _action("evaluation.begun", _("began to measure a library"), _USE, "library")
EVALUATION_ENDED = _action("evaluation.ended", _("measured a library"), _USE, "library questions")

TRAIL_VIEWED = _action("trail.viewed", _("opened the trail"), _ACCESS, "events filters person", "object")
TRAIL_VERIFIED = _action("trail.verified", _("verified the trail"), _ACCESS, "events faults")
# `size` is how large the log was; the filters and the format are of what an officer took at the desk.
TRAIL_EXPORTED = _action(
    "trail.exported",
    _("took the trail out"),
    _ACCESS,
    "events sha256 size bytes format filters since until action outcome person",
    "object",
)
CHECKPOINT_VIEWED = _action("trail.checkpoint_viewed", _("opened the checkpoint"), _ACCESS, "size")
# `key` is the ID of the witness's key; `size` counts leaves of the site's log, `events` the tenant's.
TRAIL_WITNESSED = _action(
    "trail.witnessed", _("compared the trail with a witness"), _ACCESS, "size here events key at"
)
EVENT_PROVED = _action("trail.event_proved", _("proved an event"), _ACCESS)
HEALTH_VIEWED = _action("health.viewed", _("looked at the health page"), _CARE)
BACKUP_MADE = _action("backup.made", _("made a backup"), _CARE, "blobs bytes sha256")
BACKUP_RESTORED = _action("backup.restored", _("restored a backup"), _CARE, "blobs bytes sha256")
MOVED_TO_SITE = _action(
    "installation.moved", _("moved an installation to the site"), _CARE, "rows blobs bytes sha256"
)
# `what` names the kind of difference, see `workers.upkeep.difference`.
DIFFERENCE_MENDED = _action(
    "storage.mended", _("mended what database, index and originals said differently"), _CARE, "what count"
)
INDEX_BEGUN = _action(
    "index.begun", _("began to make another index"), _CARE, "embedder_sha256 splitter generation_before"
)
INDEX_ABANDONED = _action(
    "index.abandoned", _("gave up making another index"), _CARE, "embedder_sha256 splitter generation_before"
)
INDEX_SWITCHED = _action(
    "index.switched", _("took another index into use"), _CARE, "embedder_sha256 splitter generation_before"
)
EGRESS_BLOCKED = _action(
    "egress.blocked", _("was kept from calling out"), _CARE, "kind port process times", "host"
)
EGRESS_TESTED = _action(
    "egress.tested", _("kept a test that nothing leaves"), _CARE, "packets names caught tried"
)
SOVEREIGNTY_VIEWED = _action("sovereignty.viewed", _("looked at the sovereignty page"), _CARE)
SOVEREIGNTY_REPORTED = _action(
    "sovereignty.reported", _("wrote a sovereignty report"), _CARE, "sha256 bom_sha256 blocked signed"
)
BUDGET_CHANGED = _action(
    "engine.budget_changed", _("changed the token budget"), _CARE, "model budget budget_before"
)
REFUSALS_CALIBRATED = _action(
    "engine.calibrated", _("changed when questions are refused"), _CARE, "embedder_sha256 questions"
)
ACCESS_DENIED = _action("access.denied", _("was refused"), _ACCESS, "method status", "path")

# What changes rights or settings: the officer sees these first.
CHANGES = frozenset(
    {
        PERSON_CREATED,
        PERSON_DEACTIVATED,
        PERSON_ACTIVATED,
        PASSWORD_RESET,
        ROLES_CHANGED,
        TEAM_CREATED,
        TEAM_DELETED,
        TEAM_MEMBER_ADDED,
        TEAM_MEMBER_REMOVED,
        LIBRARY_CREATED,
        LIBRARY_CHANGED,
        LIBRARY_DELETED,
        GRANT_GIVEN,
        GRANT_REVOKED,
        DOCUMENT_LABELLED,
        FOLDER_MAPPED,
        FOLDER_UNMAPPED,
        FOLDER_CONFIRMED,
        BACKUP_RESTORED,
        MOVED_TO_SITE,
        BUDGET_CHANGED,
        REFUSALS_CALIBRATED,
    }
)

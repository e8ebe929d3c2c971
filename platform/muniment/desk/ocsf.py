"""Events in the words of OCSF, for programs that collect the events of many products.

What OCSF has no place for stands under `unmapped`, so nothing of an event's body is lost. People are their
pseudonyms, documents their references.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from muniment.audit import actions
from muniment.audit.actions import Outcome

# The profile of answers is newer than 1.8.
VERSION = "1.9.0-dev"
PROFILE = "ai_operation"
AUTHENTICATION, ACCOUNT, ENTITY, ACCESS, ROLES = 3002, 3001, 3004, 3005, 3008
EVENT_LOG, LIFECYCLE, API, DATASTORE, FILES = 1008, 6002, 6003, 6005, 6006
OTHER = 99

# Each action's class and activity; what is not named here is a call of the application's interface.
CLASSES = {
    actions.SIGNED_IN: (AUTHENTICATION, 1),
    actions.SIGN_IN_FAILED: (AUTHENTICATION, 1),
    actions.SIGNED_OUT: (AUTHENTICATION, 2),
    actions.PERSON_CREATED: (ACCOUNT, 1),
    actions.PERSON_ACTIVATED: (ACCOUNT, 2),
    actions.PASSWORD_CHANGED: (ACCOUNT, 3),
    actions.PASSWORD_RESET: (ACCOUNT, 4),
    actions.PERSON_DEACTIVATED: (ACCOUNT, 5),
    actions.ROLES_CHANGED: (ROLES, OTHER),
    actions.GRANT_GIVEN: (ACCESS, 1),
    actions.GRANT_REVOKED: (ACCESS, 2),
    actions.TENANT_CREATED: (ENTITY, 1),
    actions.TEAM_CREATED: (ENTITY, 1),
    actions.TEAM_MEMBER_ADDED: (ENTITY, 3),
    actions.TEAM_MEMBER_REMOVED: (ENTITY, 3),
    actions.TEAM_DELETED: (ENTITY, 4),
    actions.LIBRARY_CREATED: (ENTITY, 1),
    actions.LIBRARY_CHANGED: (ENTITY, 3),
    actions.LIBRARY_DELETED: (ENTITY, 4),
    actions.SEARCHED: (DATASTORE, 4),
    actions.QUESTION_ASKED: (DATASTORE, 4),
    actions.ANSWER_STARTED: (DATASTORE, 4),
    actions.ANSWER_FINISHED: (DATASTORE, 4),
    actions.ANSWER_STOPPED: (DATASTORE, 4),
    actions.ANSWER_REPLAYED: (DATASTORE, 4),
    actions.DOCUMENT_UPLOADED: (FILES, 1),
    actions.DOCUMENT_DOWNLOADED: (FILES, 2),
    actions.DOCUMENT_PUBLISHED: (FILES, 3),
    actions.DOCUMENT_LABELLED: (FILES, 3),
    actions.DOCUMENT_FAILED: (FILES, OTHER),
    actions.DOCUMENT_RETRIED: (FILES, OTHER),
    actions.DOCUMENT_MOVED: (FILES, 7),
    actions.DOCUMENT_DELETED: (FILES, 4),
    actions.DOCUMENT_REMOVED: (FILES, 4),
    actions.DOCUMENT_VIEWED: (FILES, 9),
    actions.BUDGET_CHANGED: (LIFECYCLE, 8),
    actions.REFUSALS_CALIBRATED: (LIFECYCLE, 8),
    actions.INDEX_BEGUN: (LIFECYCLE, 8),
    actions.INDEX_ABANDONED: (LIFECYCLE, 8),
    actions.INDEX_SWITCHED: (LIFECYCLE, 8),
    actions.FOLDER_MAPPED: (LIFECYCLE, 8),
    actions.FOLDER_UNMAPPED: (LIFECYCLE, 8),
    actions.FOLDER_PAUSED: (LIFECYCLE, 8),
    actions.FOLDER_RESUMED: (LIFECYCLE, 8),
    actions.FOLDER_CONFIRMED: (LIFECYCLE, 8),
    actions.TRAIL_EXPORTED: (EVENT_LOG, 3),
    actions.EVENT_PROVED: (EVENT_LOG, 3),
    actions.TRAIL_VIEWED: (EVENT_LOG, OTHER),
    actions.TRAIL_WITNESSED: (EVENT_LOG, OTHER),
    actions.CHECKPOINT_VIEWED: (EVENT_LOG, OTHER),
    actions.TRAIL_VERIFIED: (EVENT_LOG, OTHER),
}
ANSWERS = {actions.ANSWER_STARTED, actions.ANSWER_FINISHED}
SUCCESS, FAILURE, UNKNOWN = 1, 2, 0
STATUS = {
    Outcome.DONE: SUCCESS,
    Outcome.DENIED: FAILURE,
    Outcome.FAILED: FAILURE,
    Outcome.UNKNOWN: UNKNOWN,
    Outcome.PENDING: OTHER,
}
INFORMATIONAL, LOW = 1, 2
PRODUCT = {"name": "Muniment", "vendor_name": "Muniment"}
# Parts of a body that have a place of their own; `actor` has two of them.
_PLACED = {"event_id", "tenant", "ts", "action", "outcome", "reason", "request_id", "app_version", "actor"}
_PLACED_OF_ACTOR = {"ref", "session_ref"}


def ocsf(body: Mapping[str, Any], model: str = "") -> dict[str, Any]:
    """An event's body as an event of OCSF; `model` is the name of the model of an answer."""
    class_uid, activity = CLASSES.get(body["action"], (API, OTHER))
    status = STATUS[Outcome(body["outcome"])]
    told: dict[str, Any] = {
        "category_uid": class_uid // 1000,
        "class_uid": class_uid,
        "activity_id": activity,
        "type_uid": class_uid * 100 + activity,
        "time": _milliseconds(body["ts"]),
        "severity_id": LOW if status == FAILURE else INFORMATIONAL,
        "status_id": status,
        "status_code": body["outcome"],
        "metadata": _metadata(body),
        "actor": _actor(body["actor"]),
        **_OF_CLASS[class_uid](body),
    }
    if body["reason"]:
        told["status_detail"] = body["reason"]
    if body["action"] in ANSWERS:
        told["ai_model"] = _model(body, model)
    told["unmapped"] = {name: value for name, value in body.items() if name not in _PLACED}
    told["unmapped"]["actor"] = {
        name: value for name, value in body["actor"].items() if name not in _PLACED_OF_ACTOR
    }
    return told


def line(body: Mapping[str, Any], model: str = "") -> bytes:
    return json.dumps(ocsf(body, model), ensure_ascii=False, separators=(",", ":")).encode()


def _milliseconds(written: str) -> int:
    return int(datetime.strptime(written, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() * 1000)


def _metadata(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "version": VERSION,
        "uid": body["event_id"],
        "event_code": body["action"],
        "tenant_uid": body["tenant"],
        "correlation_uid": body["request_id"],
        "original_time": body["ts"],
        "product": {**PRODUCT, "version": body["app_version"]},
        "profiles": [PROFILE] if body["action"] in ANSWERS else [],
    }


def _actor(actor: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"app_name": PRODUCT["name"]}
    if actor["ref"]:
        told["user"] = {"uid": actor["ref"]}
    if actor["session_ref"]:
        told["session"] = {"uid": actor["session_ref"]}
    return told


def _user(body: Mapping[str, Any]) -> dict[str, str]:
    """Whom it is about, else who acted."""
    thing = body["object"] or {}
    person = body.get("details", {}).get("person", "")
    ref = thing.get("ref") if thing.get("type") == "person" else person or body["actor"]["ref"]
    return {"uid": ref or "unknown"}


def _of_account(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"user": _user(body)}


def _of_roles(body: Mapping[str, Any]) -> dict[str, Any]:
    roles = ",".join(body.get("details", {}).get("roles", []))
    return {"iam_role": {"name": roles or "unknown"}, "user": _user(body)}


def _of_access(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "user": _user(body),
        "privileges": [str(body.get("details", {}).get("level", "unknown"))],
        "resource": {"uid": _ref(body)},
    }


def _of_entity(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"entity": {"type": (body["object"] or {}).get("type", "unknown"), "uid": _ref(body)}}


def _of_datastore(body: Mapping[str, Any]) -> dict[str, Any]:
    return {**_source(body), "database": {"type_id": OTHER, "name": "libraries"}}


def _of_file(body: Mapping[str, Any]) -> dict[str, Any]:
    return {**_source(body), "file": {"type_id": 1, "name": _ref(body), "uid": _ref(body)}}


def _of_log(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"log_name": "trail"}


def _of_application(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"app": {**PRODUCT, "version": body["app_version"]}}


def _of_call(body: Mapping[str, Any]) -> dict[str, Any]:
    return {**_source(body), "api": {"operation": body["action"]}}


def _source(body: Mapping[str, Any]) -> dict[str, Any]:
    """Addresses are personal values and not in a body, but OCSF wants a place to be named."""
    return {"src_endpoint": {"name": body["actor"]["kind"]}}


def _ref(body: Mapping[str, Any]) -> str:
    return str((body["object"] or {}).get("ref") or "unknown")


def _model(body: Mapping[str, Any], name: str) -> dict[str, str]:
    details = body.get("details", {})
    told = {"name": details.get("model") or name or "unknown"}
    told["ai_provider"] = details.get("params", {}).get("backend") or "this installation"
    if details.get("llm_sha256"):
        told["uid"] = details["llm_sha256"]
    return told


_OF_CLASS: dict[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    AUTHENTICATION: _of_account,
    ACCOUNT: _of_account,
    ROLES: _of_roles,
    ACCESS: _of_access,
    ENTITY: _of_entity,
    DATASTORE: _of_datastore,
    FILES: _of_file,
    EVENT_LOG: _of_log,
    LIFECYCLE: _of_application,
    API: _of_call,
}

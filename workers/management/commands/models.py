"""`manage.py models`: which are used, what the catalogue has, fetching one, adding a file of one's own."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _

from muniment.documents import generations
from muniment.scope import Role
from muniment.tenancy.queries import each_tenant
from workers.acting import acting_scope
from workers.engines import carriers, catalogue, own_models
from workers.engines.catalogue import Kind, Model
from workers.engines.errors import CarrierFailed, DiskFull, ModelMissing, NotAModel

MEGABYTE = 1_000_000


class Command(BaseCommand):
    help = (
        "Says which embedder each tenant uses; lists the models of the catalogue, fetches one, or adds one "
        "from a file or folder."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action")
        # Not `add_as`: the action `add` has a name, too.
        parser.add_argument("--as", dest="who", metavar="NAME", help="act as this person")
        listing = actions.add_parser("list", help="what there is, and what is here")
        listing.add_argument("--json", action="store_true", help="for programs")
        get = actions.add_parser("get", help="fetch models; without a name those that are set")
        get.add_argument("names", nargs="*", metavar="NAME")
        get.add_argument("--folder", type=Path, help="a file or folder that holds the model's files")
        get.add_argument("--carriers", help=f"their order, default {settings.MODEL_CARRIERS}")
        add = actions.add_parser(
            "add",
            help="add a language model from its GGUF file, or from the folder or the first file of its "
            "parts; or from a folder an embedder or a cross-encoder",
        )
        add.add_argument("file", type=Path)
        add.add_argument("--name", help="for a model that the catalogue does not have")
        add.add_argument("--family", default="", help="default: what a language model's file says")
        add.add_argument("--licence", help="required with --name: who may use it for what")
        add.add_argument(
            "--role",
            type=Kind,
            choices=[Kind.EMBEDDER, Kind.RERANKER],
            default=Kind.EMBEDDER,
            help="what a folder is for: embedder, or reranker for a cross-encoder that sorts what was found",
        )
        add.add_argument(
            "--context",
            type=int,
            default=0,
            help="tokens that a language model can read; default: what its file says",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            does = {None: self._used, "list": self._list, "get": self._get, "add": self._add}
            does[options["action"]](options)
        except DatabaseError as error:
            raise CommandError(_("The database cannot be read: `manage.py doctor` tells why.")) from error
        except (ModelMissing, CarrierFailed, DiskFull, NotAModel) as problem:
            raise CommandError(str(problem)) from problem

    def _used(self, options: dict[str, Any]) -> None:
        """One embedder a tenant and generation of the index; the same for all tenants."""
        if Role.SITE_ADMIN not in acting_scope(options["who"]).roles:
            raise CommandError(_("Only a site administrator may see this: say --as."))
        for generation in generations.kept():
            self.stdout.write(
                _("Index %(number)s (%(state)s): %(embedder)s, %(dimension)s numbers, SHA-256 %(sha256)s")
                % {
                    "number": generation.number,
                    "state": generation.get_state_display(),
                    "embedder": generation.embedder,
                    "dimension": generation.dimension,
                    "sha256": generation.embedder_sha256,
                }
            )
            for tenant in each_tenant():
                has = generations.published(tenant.id).filter(indexed_in__gte=generation.number)
                self.stdout.write(
                    _("    %(tenant)s: %(documents)s documents")
                    % {"tenant": tenant.slug, "documents": has.count()}
                )
        if settings.RERANKER:
            entry = catalogue.model(settings.RERANKER)
            self.stdout.write(
                _("What was found is sorted by %(name)s, SHA-256 %(sha256)s")
                % {"name": entry.name, "sha256": entry.sha256}
            )

    def _list(self, options: dict[str, Any]) -> None:
        rows = [(entry, catalogue.state_of(entry)) for entry in catalogue.models()]
        if options["json"]:
            self.stdout.write(json.dumps([_facts(entry, state) for entry, state in rows], indent=2))
            return
        for entry, state in rows:
            words = [str(entry.kind), f"{entry.bytes // MEGABYTE} MB", entry.licence, state]
            if not entry.tried:
                words.append(_("not tried here"))
            self.stdout.write(f"{entry.name}: {', '.join(words)}\n    {entry.title}. {entry.note}")

    def _get(self, options: dict[str, Any]) -> None:
        order = (options["carriers"] or settings.MODEL_CARRIERS).split(",")
        named = options["folder"] or settings.MODEL_FOLDER
        own = "" if settings.MODEL_URL else settings.LANGUAGE_MODEL
        usual = (own, settings.EMBEDDER, settings.RERANKER)
        for name in options["names"] or filter(None, usual):
            carriers.fetch(catalogue.model(name), order, Path(named) if named else None)
            self.stdout.write(_("The model %(name)s is there and was checked.") % {"name": name})

    def _add(self, options: dict[str, Any]) -> None:
        source: Path = options["file"]
        if not source.exists():
            raise CommandError(_("There is no such file or folder."))
        entry = carriers.recognise(source)
        if entry is None:
            if not (options["name"] and options["licence"]):
                raise CommandError(
                    _("The catalogue does not have this model: to add it say --name and --licence.")
                )
            keys = ("name", "family", "licence", "context", "role")
            entry = own_models.describe(source, **{key: options[key] for key in keys})
            own_models.enter(entry)
        carriers.add(source, entry)
        self.stdout.write(_("The model %(name)s is there and was checked.") % {"name": entry.name})


def _facts(entry: Model, state: str) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.title,
        "kind": str(entry.kind),
        "family": entry.family,
        "licence": entry.licence,
        "bytes": entry.bytes,
        "sha256": entry.sha256,
        "context": entry.context,
        "memory": entry.memory,
        "tried": entry.tried,
        "state": state,
    }

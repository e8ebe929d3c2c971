"""`manage.py models`: what the catalogue has, fetching one, adding a file of one's own."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from workers.engines import carriers, catalogue, own_models
from workers.engines.catalogue import Model
from workers.engines.errors import CarrierFailed, DiskFull, ModelMissing, NotAModel

MEGABYTE = 1_000_000


class Command(BaseCommand):
    help = "Lists the models of the catalogue, fetches one, or adds one from a file or folder."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="what there is, and what is here")
        listing.add_argument("--json", action="store_true", help="for programs")
        get = actions.add_parser("get", help="fetch models; without a name those that are set")
        get.add_argument("names", nargs="*", metavar="NAME")
        get.add_argument("--folder", type=Path, help="a file or folder that holds the model's files")
        get.add_argument("--carriers", help=f"their order, default {settings.MODEL_CARRIERS}")
        add = actions.add_parser("add", help="add a model from a file, or an embedder from a folder")
        add.add_argument("file", type=Path)
        add.add_argument("--name", help="for a model that the catalogue does not have")
        add.add_argument("--family", default="unknown")
        add.add_argument("--licence", help="required with --name: who may use it for what")
        add.add_argument("--context", type=int, default=8192, help="tokens it can read at once")
        add.add_argument("--dimension", type=int, default=0, help="of an embedder's vectors")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            {"list": self._list, "get": self._get, "add": self._add}[options["action"]](options)
        except (ModelMissing, CarrierFailed, DiskFull, NotAModel) as problem:
            raise CommandError(str(problem)) from problem

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
        for name in options["names"] or [settings.LANGUAGE_MODEL, settings.EMBEDDER]:
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
            keys = ("name", "family", "licence", "context", "dimension")
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

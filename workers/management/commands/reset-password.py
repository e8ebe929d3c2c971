"""`manage.py reset-password NAME`: the way in when nobody can sign in any more."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from muniment.accounts.services import reset_password_from_shell
from muniment.pages.errors import Problem
from workers.acting import cli_origin


class Command(BaseCommand):
    help = "Give a person a new one-time password and end all their sessions. Works while nothing is running."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the person's sign-in name")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            password = reset_password_from_shell(options["name"], cli_origin())
        except Problem as problem:
            raise CommandError(str(problem.detail)) from problem
        self.stdout.write(f"One-time password: {password}")
        self.stdout.write("It is shown only now. At the next sign-in it must be replaced by another.")

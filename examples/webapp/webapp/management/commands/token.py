"""Prints a new access token for a user."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from webapp.models import Token


class Command(BaseCommand):
    """`manage.py token NAME`: shown once, only its digest is kept. `--make` makes the user, who has no password."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME and --make."""
        parser.add_argument("name")
        parser.add_argument("--make", action="store_true", help="make the user if there is none")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        user = User.objects.filter(username=options["name"]).first()
        if user is None:
            if not options["make"]:
                raise CommandError(f"There is no user {options['name']!r}; --make makes one.")
            user = User.objects.create_user(options["name"])
        self.stdout.write(Token.make(user))

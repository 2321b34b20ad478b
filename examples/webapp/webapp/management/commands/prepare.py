"""Makes Django's tables and the first user; harmless when repeated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.utils.crypto import salted_hmac
from sqlalchemy.engine import make_url


class Command(BaseCommand):
    """WEBAPP_USER (demo) and WEBAPP_PASSWORD are the first user's; without one it follows from the secret key."""

    help = __doc__ or ""

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        for left in settings.UPLOADS.glob("*.upload*"):  # by a server that was killed while it received them
            left.unlink(missing_ok=True)
        tables = make_url(settings.DATABASE_URL)
        if tables.get_backend_name() == "sqlite" and tables.database:
            Path(tables.database).touch()  # else an export before the first upload would tell its path
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"create schema if not exists {settings.SCHEMA}")
        call_command("migrate", verbosity=0, interactive=False)
        name = os.environ.get("WEBAPP_USER", "demo")
        given = os.environ.get("WEBAPP_PASSWORD")
        password = given or salted_hmac("webapp", name).hexdigest()[:12]
        user, _ = User.objects.get_or_create(username=name)
        if not user.check_password(password):
            user.set_password(password)
            user.save()
        self.stdout.write(f"User {name}, password {'as in WEBAPP_PASSWORD' if given else password}")

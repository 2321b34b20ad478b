"""Removes the files of runs that are over, and forgets their tasks; tables stay."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from webapp.models import Task
from webapp.status import OVER, status


class Command(BaseCommand):
    """`manage.py tidy --days 30`, from cron. Uploads and exports otherwise stay on the server."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """--days."""
        parser.add_argument("--days", type=float, default=30, help="younger ones stay (30)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it."""
        before = timezone.now() - timedelta(days=options["days"])
        tasks = Task.objects.filter(created__lt=before)
        old = [task for task in tasks if status(task)["status"] in (*OVER, "unknown")]
        for task in old:
            task.path.unlink(missing_ok=True)
            task.delete()
        known = {str(name) for name in Task.objects.values_list("id", flat=True)}
        for path in (*settings.UPLOADS.iterdir(), *settings.EXPORTS.iterdir()):  # what a crash has left without a task
            if path.name.lstrip(".")[:36] not in known and path.stat().st_mtime < before.timestamp():
                path.unlink()
        self.stdout.write(f"{len(old)} tasks are gone, with their files.")

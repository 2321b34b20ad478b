"""All that Django keeps: whose run it is, what its owner called it, and the digests of access tokens."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from pathlib import Path

from django.conf import settings
from django.db import models


class Task(models.Model):
    """A run's owner. Its state isn't here: the store has it, under the name `str(id)`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    kind = models.CharField(max_length=6, choices=[("upload", "upload"), ("export", "export")])
    table = models.CharField(max_length=63)
    format = models.CharField(max_length=8)
    label = models.CharField(max_length=255)
    """What the owner calls the file: shown, and never part of a path."""
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-created", "id")

    def __str__(self) -> str:
        return f"{self.kind} {self.label}"

    @property
    def path(self) -> Path:
        """The file on the server, under a name of the server's."""
        folder: Path = settings.UPLOADS if self.kind == "upload" else settings.EXPORTS
        return folder / f"{self.id}.{self.format}"


class Token(models.Model):
    """Lets a program act for a user: `Authorization: Bearer …`. Only its digest is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    digest = models.CharField(max_length=64, unique=True)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"token of {self.user}"

    @classmethod
    def make(cls, user: models.Model) -> str:
        """A new token, to be shown once."""
        text = secrets.token_urlsafe(32)
        cls.objects.create(user=user, digest=_digest(text))
        return text

    @classmethod
    def find(cls, text: str) -> Token | None:
        """The token with that text, if its user may still sign in."""
        return cls.objects.select_related("user").filter(digest=_digest(text), user__is_active=True).first()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

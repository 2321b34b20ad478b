"""Who may do what, settled before a byte of the body is read.

Laws kept here:

* Nothing but the page to sign in is for everybody. Programs come with a token, browsers with a session.
* What a browser sends by itself, a cookie, is not enough to change anything: there must be the CSRF token as well.
* An upload must have it in its header. In the form's body it would be found only after all of that was written to disk.
* The page runs no script and loads no style but the site's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.middleware.csrf import CsrfViewMiddleware

from webapp.models import Token

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

View = Callable[..., HttpResponseBase]


def problem(status: int, message: str, **headers: str) -> JsonResponse:
    """A refusal, for people and programs: `{"error": "..."}`."""
    return JsonResponse({"error": message}, status=status, headers=headers)


class Headers:
    """Says to browsers what no page of this site ever does."""

    def __init__(self, get_response: View) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response["Content-Security-Policy"] = POLICY
        response.headers.setdefault("Cache-Control", "no-store")
        return response


class Access(LoginRequiredMiddleware):
    """Signed in, or with a token: else 403, and for the page the form to sign in. Too much to send: 413."""

    def process_view(self, request: HttpRequest, view: View, args: Any, kwargs: Any) -> HttpResponseBase | None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme:
            token = Token.find(text.strip()) if scheme.lower() == "bearer" else None
            if token is None:
                return problem(403, "This token is not known.")
            request.user = token.user
        elif request.path == "/export/" and request.headers.get("Sec-Fetch-Site", "none") not in (
            "same-origin",
            "none",
        ):
            return problem(403, "Another site may not start an export.")  # a GET begins it, which needs no CSRF token
        refused = super().process_view(request, view, args, kwargs)
        if refused is None and int(request.META.get("CONTENT_LENGTH") or 0) > settings.MAX_UPLOAD:
            return problem(413, f"More than {settings.MAX_UPLOAD:,} bytes are not taken.")
        return refused

    def handle_no_permission(self, request: HttpRequest, view: View) -> HttpResponseBase:  # type: ignore[override]
        if request.path == "/":
            return super().handle_no_permission(request, view)
        return problem(403, "Sign in, or send a token: Authorization: Bearer ...")


class Csrf(CsrfViewMiddleware):
    """As Django's; not asked of programs with a token, and asked of an upload before it is read."""

    def process_view(  # type: ignore[override]
        self, request: HttpRequest, view: View, args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        if "Authorization" in request.headers:  # Access has found it good, or the request didn't come this far
            return None
        if request.content_type == "multipart/form-data" and "X-CSRFToken" not in request.headers:
            return problem(403, "The header X-CSRFToken is missing.")
        return super().process_view(request, view, args, kwargs)


def no_csrf(request: HttpRequest, reason: str = "") -> JsonResponse:
    """The answer to a request that may not be its user's own."""
    return problem(403, reason or "The CSRF token is missing or wrong.")

"""What a browser sends to the service: cookies, and the page's CSRF token if it is told to."""

from __future__ import annotations

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request

__all__ = ["Browser"]


class Browser:
    """Signed in as `demo`."""

    def __init__(self, url: str, password: str) -> None:
        self.url, self.cookies = url, http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )
        self.text = self.get("/login/")
        fields = {"username": "demo", "password": password, "csrfmiddlewaretoken": self._found("value")}
        self.text = self.get("/login/", urllib.parse.urlencode(fields).encode())
        self.token = self._found("content")

    def _found(self, attribute: str) -> str:
        found = re.search(rf'csrf\S*token" {attribute}="(\w+)"', self.text)
        assert found is not None, self.text
        return found[1]

    def get(self, path: str, body: bytes | None = None, method: str | None = None, **headers: str) -> str:
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        request = urllib.request.Request(self.url + path, body, named, method=method)
        with self.opener.open(request) as answer:
            text: str = answer.read().decode()
            return text

    def status(self, path: str, body: bytes | None = None, method: str | None = None, **headers: str) -> int:
        try:
            self.get(path, body, method, **headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        return 200

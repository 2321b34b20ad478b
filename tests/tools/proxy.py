"""A loopback proxy before a PostgreSQL server that loses connections at a COMMIT: before it arrives, or its answer.

It reads the client's messages (PostgreSQL's documentation, "Message Formats"): after the startup message each has a
type byte and a length. The URL that it gives out asks for neither SSL nor GSS, so nothing is encrypted.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Literal, Self

from sqlalchemy.engine import make_url

__all__ = ["MODES", "Mode", "Proxy"]

Mode = Literal["before", "after", "late"]
MODES: tuple[Mode, ...] = ("before", "after", "late")
"""The COMMIT never arrives; it is carried out and its answer is lost; it arrives only when the client has gone on."""

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
LATE = 0.15
"""Seconds by which a late COMMIT is late: less than any lock is waited for."""


class Proxy:
    """`lose(n, mode)`: the n-th COMMIT from now on is lost, once. `commits` and `lost` count what passed and what didn't."""

    def __init__(self, url: str) -> None:
        self._server = make_url(url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._left, self._mode = 0, MODES[0]
        self.commits = self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """The database, by way of the proxy."""
        here = self._server.set(port=self._listener.getsockname()[1])
        return here.update_query_dict({"sslmode": "disable", "gssencmode": "disable"}).render_as_string(False)

    def lose(self, n: int, mode: Mode) -> None:
        """Lose the n-th COMMIT from now on."""
        with self._lock:
            self._left, self._mode = n, mode

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take no more connections; those there are stay."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection((self._server.host, self._server.port)) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = threading.Thread(target=_pour, args=(server, client), daemon=True)
            answers.start()
            with contextlib.suppress(OSError):
                self._pass_on(client, server)
            _shut(client)
            _shut(server)
            answers.join()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        """The client's messages, until a COMMIT is to be lost."""
        source = client.makefile("rb")
        typed = False
        while head := source.read(5 if typed else 4):
            size = int.from_bytes(head[-4:], "big") - 4
            message = head + source.read(size)
            typed = True  # all but the first, which is the startup message
            mode = self._fate() if message == COMMIT else None
            if mode is None:
                server.sendall(message)
                continue
            if mode != "before":
                _shut(client)  # nobody hears the answer
                time.sleep(LATE if mode == "late" else 0)
                server.sendall(message)
                server.settimeout(5)
                time.sleep(0.05 if mode == "after" else 0)
            return

    def _fate(self) -> Mode | None:
        with self._lock:
            self.commits += 1
            self._left -= 1
            if self._left:
                return None
            self.lost += 1
            return self._mode


def _pour(source: socket.socket, target: socket.socket) -> None:
    """All that comes, until either side ends."""
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    _shut(target)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)

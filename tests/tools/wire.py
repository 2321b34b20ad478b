"""A wire between a client and a server that can be cut at a known word: before it arrives, or before its answer."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from types import TracebackType
from typing import Literal, Self

__all__ = ["Wire"]


class Wire:
    """Listens at `port` of loopback and passes on to `server`, a host and a port.

    The next `cuts` times that a client sends `word`, the wire breaks: the word doesn't arrive (`lose="question"`), or
    it does and the answer doesn't (`lose="answer"`). What is sent in one piece has to hold the word whole.
    """

    def __init__(self, server: tuple[str, int], word: bytes) -> None:
        self.server, self.word = server, word
        self.cuts = 0
        self.lose: Literal["question", "answer"] = "answer"
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._door.accept()[0]
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self.server) as server:
            asked = False
            while True:
                for side in select.select([client, server], [], [])[0]:
                    data = side.recv(65536)
                    if side is client and self.cuts and self.word in data:
                        asked = True
                        if self.lose == "question":
                            data = b""
                    if not data or (asked and side is server):
                        self.cuts -= asked
                        return
                    (server if side is client else client).sendall(data)

"""Real notebook kernels: cells are run, interrupted and run again; a kernel is killed, and another one goes on."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from types import TracebackType
from typing import Any, Self

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from jupyter_core.utils import ensure_event_loop

from jobs import PATIENCE

__all__ = ["Cell", "Kernel"]


class Cell:
    """What a cell has shown so far: messages of the kernel, in the form of a notebook's outputs."""

    def __init__(self, request: str) -> None:
        self.request = request
        self.outputs: list[dict[str, Any]] = []
        self.error: dict[str, Any] | None = None
        """`ename`, `evalue` and `traceback` of the exception that ended it."""
        self.done = False

    def text(self, stream: str = "stdout") -> str:
        """What it has printed."""
        return "".join(o["text"] for o in self.outputs if o.get("name") == stream)

    def shown(self, mime: str) -> list[Any]:
        """What it has displayed, and its result, in one form: `text/html`, say."""
        return [o["data"][mime] for o in self.outputs if mime in o.get("data", {})]

    def take(self, kind: str, content: dict[str, Any]) -> None:
        """A message that belongs to it."""
        if kind == "error":
            self.error = content
        elif kind == "status":
            self.done = self.done or content["execution_state"] == "idle"
        elif kind in ("stream", "display_data", "execute_result", "update_display_data"):
            self.outputs.append(content)


class Kernel:
    """A kernel of this Python in a folder, with no settings of the person who runs the tests."""

    def __init__(self, folder: Path) -> None:
        # Sockets in the file system, not ports: and their names must be short.
        self._own = tempfile.TemporaryDirectory(prefix="kernel", ignore_cleanup_errors=True)
        own = self._own.name
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("RESUMABLE", "PG", "JUPYTER"))}
        environment |= {"IPYTHONDIR": own, "JUPYTER_CONFIG_DIR": own, "JUPYTER_RUNTIME_DIR": own, "JUPYTER_PATH": own}
        specifications = KernelSpecManager(kernel_dirs=[])  # so that there is only the one of this Python
        self._manager = KernelManager(transport="ipc", ip=f"{own}/k", kernel_spec_manager=specifications)
        self._manager.connection_file = f"{own}/kernel.json"
        self._manager.start_kernel(cwd=str(folder), env=environment)
        self._client = self._manager.client()
        self._client.start_channels()

    def __enter__(self) -> Self:
        self._client.wait_for_ready(PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
        ensure_event_loop().close()  # the client's, which it leaves open
        self._own.cleanup()

    def run(self, code: str) -> Cell:
        """Run a cell to its end."""
        return self.finish(self.begin(code))

    def well(self, code: str) -> Cell:
        """Run a cell to its end, which must be a good one."""
        cell = self.run(code)
        assert cell.error is None, cell.error["evalue"]
        return cell

    def begin(self, code: str) -> Cell:
        """Run a cell; it goes on by itself."""
        return Cell(self._client.execute(code))

    def finish(self, cell: Cell) -> Cell:
        """Wait until the cell has ended."""
        return self.until(cell, lambda: cell.done)

    def until(self, cell: Cell, what: Callable[[], Any]) -> Cell:
        """Listen to a cell until something becomes true."""
        end = time.monotonic() + PATIENCE
        while not what():
            assert time.monotonic() < end, (cell.outputs, cell.error)
            try:
                message = self._client.get_iopub_msg(timeout=0.01)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") == cell.request:
                cell.take(message["msg_type"], message["content"])
        return cell

    def interrupt(self) -> None:
        """What the button with the square does."""
        self._manager.interrupt_kernel()

    def kill(self) -> None:
        """`kill -9`; it must have been there to die of it."""
        process = self._manager.provisioner.process
        assert process.poll() is None, "it had ended before"
        process.kill()
        assert -signal.SIGKILL == process.wait(PATIENCE)

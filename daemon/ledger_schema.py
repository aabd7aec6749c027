"""The schema's version and the way from one to the next, on either engine. The steps themselves are `daemon/migrations`."""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from daemon.ledger import LedgerUnavailable

REVISIONS = ("0001", "0002")  # in order; the same as the files in `daemon/migrations/versions`
HEAD = REVISIONS[-1]
# SQLite files of the first version carry this number and no table of versions.
FIRST_USER_VERSION = 1


def version(connection: Connection, where: str) -> str | None:
    """The schema's version; None where there is no ledger yet. Raises LedgerUnavailable for one that this program does not know."""
    found = _version(connection)
    if found is not None and found not in REVISIONS:
        raise LedgerUnavailable(f"schema {found} is newer than {HEAD}", where, "Use the version of atmsd that wrote it.")
    return found


def migrate(connection: Connection, found: str | None) -> None:
    """From `found` to the newest, in the caller's transaction."""
    from alembic import command  # noqa: PLC0415  # a third of a second, and hardly ever needed
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "daemon:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    if found is not None:
        command.stamp(config, found)  # an old file has no table of versions yet
    command.upgrade(config, HEAD)


def _version(connection: Connection) -> str | None:
    tables = sa.inspect(connection)
    if tables.has_table("alembic_version"):
        return str(connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one())
    if connection.dialect.name != "sqlite":
        return None
    user_version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    if user_version == 0:
        return None
    return REVISIONS[0] if user_version == FIRST_USER_VERSION else f"{user_version:04}"

"""The chain of rows and the leases; the database itself refuses to change a row."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "entries",
        sa.Column("seq", _SEQ, primary_key=True, autoincrement=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("utc_us", sa.BigInteger, nullable=False),
        sa.Column("mono_ns", sa.BigInteger, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("patient", sa.Text),
        sa.Column("session_id", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("ix_entries_utc_us", "entries", ["utc_us"])
    op.create_index("entries_by_patient", "entries", ["patient", "seq"])
    op.create_index("entries_by_kind", "entries", ["kind", "session_id"])
    op.create_table(
        "leases",
        sa.Column("patient", sa.Text, primary_key=True),
        sa.Column("session_id", sa.Text, nullable=False, unique=True),
        sa.Column("chair", sa.Text, nullable=False, unique=True),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("expires_utc_us", sa.BigInteger, nullable=False),
        sa.Column("expires_mono_ns", sa.BigInteger, nullable=False),
    )
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)


_SQLITE = [
    f"CREATE TRIGGER entries_refuse_{act.lower()} BEFORE {act} ON entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
    for act in ("UPDATE", "DELETE")
] + ["PRAGMA user_version = 1"]

_POSTGRESQL = [
    "CREATE FUNCTION entries_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
    "CREATE TRIGGER entries_refuse_change BEFORE UPDATE OR DELETE ON entries FOR EACH ROW EXECUTE FUNCTION entries_refuse_change()",
    "CREATE TRIGGER entries_refuse_truncate BEFORE TRUNCATE ON entries FOR EACH STATEMENT EXECUTE FUNCTION entries_refuse_change()",
]

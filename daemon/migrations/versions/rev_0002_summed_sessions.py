"""Indexes by which a patient's history is read from the sums in closing rows, and rows of one session are found."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("entries_by_session", "entries", ["session_id", "seq"])
    op.create_index("entries_by_patient_and_kind", "entries", ["patient", "kind", "seq"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute("PRAGMA user_version = 2")  # programs of the first version know it by this and leave it alone

"""Runs the steps on the connection that `daemon.ledger_schema` hands over, inside its transaction."""

from alembic import context

from daemon.ledger_db import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()

"""Run by alembic: the steps go through the connection and the transaction of ``migrate``."""

from alembic import context

from monitor.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite's can be rolled back too, since the engine sends BEGIN itself
)
context.run_migrations()

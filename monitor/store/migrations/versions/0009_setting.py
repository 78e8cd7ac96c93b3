"""What surrounds an alert: what it lacks, whether it was expected, what explains it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    with op.batch_alter_table("alerts") as alerts:
        alerts.add_column(sa.Column("setting", sa.Text(), nullable=False, server_default="{}"))
    with op.batch_alter_table("alerts") as alerts:
        alerts.alter_column("setting", server_default=None)

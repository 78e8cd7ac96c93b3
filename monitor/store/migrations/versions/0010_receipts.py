"""What an alert followed from."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    with op.batch_alter_table("alerts") as alerts:
        alerts.add_column(
            sa.Column("receipt", sa.String(length=64), nullable=False, server_default="")
        )
    with op.batch_alter_table("alerts") as alerts:
        alerts.alter_column("receipt", server_default=None)
    op.create_table(
        "receipts",
        sa.Column("alert_id", sa.String(length=36), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("alert_id"),
    )

"""Wordings of stories, from which copies are told."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "stories",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_id", sa.Text(), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.Column("origin_id", sa.Text(), nullable=True),
        sa.Column("origin_ms", sa.BigInteger(), nullable=True),
        sa.Column("story", sa.BigInteger(), nullable=False),
        sa.Column("story_id", sa.Text(), nullable=False),
        sa.Column("story_ms", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("stories_by_last", "stories", ["last_ms"], unique=False)

"""Stories, mentions and names; posts beside voices."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # What is stored already was counted document by document, each with a story of its own.
    columns = (
        sa.Column("story", sa.Text(), nullable=False, server_default=""),
        sa.Column("copy_of", sa.Text(), nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
    if op.get_bind().dialect.name == "sqlite":
        # Made anew, so that the text stays the last column: see schema.py.
        with op.batch_alter_table("documents", recreate="always") as documents:
            for column in columns:
                documents.add_column(column, insert_before="text")
    else:
        for column in columns:
            op.add_column("documents", column)
    op.execute(sa.text("UPDATE documents SET story = id"))
    op.create_index("documents_by_story", "documents", ["story", "published_ms"], unique=False)
    _add_counts("buckets", "posts")
    op.execute(sa.text("UPDATE buckets SET posts = n"))
    _add_counts("alerts", "posts", "stories", "largest_story")
    op.execute(sa.text("UPDATE alerts SET posts = documents"))
    for table, names in (
        ("documents", ("story", "counted")),
        ("buckets", ("posts",)),
        ("alerts", ("posts", "stories", "largest_story")),
    ):
        with op.batch_alter_table(table) as filled:
            for name in names:
                filled.alter_column(name, server_default=None)
    op.create_table(
        "mentions",
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("published_ms", sa.BigInteger(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("p_negative", sa.Float(), nullable=False),
        sa.Column("p_neutral", sa.Float(), nullable=False),
        sa.Column("p_positive", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("document_id", "key"),
    )
    op.create_index("mentions_by_key", "mentions", ["key", "published_ms"], unique=False)
    op.create_index("mentions_by_time", "mentions", ["published_ms"], unique=False)
    op.create_table(
        "names",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )


def _add_counts(table: str, *names: str) -> None:
    with op.batch_alter_table(table) as changed:
        for name in names:
            changed.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))

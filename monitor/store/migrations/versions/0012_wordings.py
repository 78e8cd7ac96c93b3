"""Wordings of stories as a log of packed rows."""

import sqlalchemy as sa
from alembic import op

from monitor.store.wordings import pack
from monitor.story.base import ToldRow

revision = "0012"
down_revision = "0011"

_TOGETHER = 4_096


def upgrade() -> None:
    op.rename_table("stories", "wordings")
    op.drop_index("stories_by_last", "wordings")
    stories = op.create_table(
        "stories",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True),
        sa.Column("newest_ms", sa.BigInteger(), nullable=False),
        sa.Column("forget_ms", sa.BigInteger()),
        sa.Column("wordings", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("stories_by_newest", "stories", ["newest_ms"])
    connection = op.get_bind()
    known = sa.table("wordings", *(sa.column(name) for name in ToldRow._fields))
    # By age, so that what is forgotten is forgotten in large parts.
    found = connection.execute(sa.select(known).order_by(known.c.last_ms)).all()
    for first in range(0, len(found), _TOGETHER):
        rows = [
            ToldRow(*row)._replace(words=bytes(row.words))
            for row in found[first : first + _TOGETHER]
        ]
        connection.execute(
            stories.insert(), {"newest_ms": rows[-1].last_ms, "wordings": pack(rows)}
        )
    op.drop_table("wordings")

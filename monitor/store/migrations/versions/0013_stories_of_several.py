"""The index of stories holds only documents that are not the first of theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.drop_index("documents_by_story", "documents")
    of_several = sa.text("story <> id")
    op.create_index(
        "documents_by_story",
        "documents",
        ["story"],
        sqlite_where=of_several,
        postgresql_where=of_several,
    )

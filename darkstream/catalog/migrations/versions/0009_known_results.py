"""Results that took their originals' places are found by what is in them."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_CONTENT = op.f("ix_replacements_result_content")
_BYTES = op.f("ix_replacements_result_bytes")


def upgrade() -> None:
    """Make the schema newer."""
    op.add_column("replacements", sa.Column("result_content", sa.String(length=64), nullable=True))
    table = sa.table("replacements", *map(sa.column, ("job_id", "record", "result_content")))
    known = sa.select(table.c.job_id, table.c.record).where(table.c.record.is_not(None))
    connection = op.get_bind()
    for job, record in connection.execute(known).all():
        content = json.loads(record)["result"]["blake3"]
        mine = table.update().where(table.c.job_id == job)
        connection.execute(mine.values(result_content=content))
    op.create_index(_CONTENT, "replacements", ["result_content"])
    op.create_index(_BYTES, "replacements", ["result_bytes"])


def downgrade() -> None:
    """Make the schema older."""
    op.drop_index(_BYTES, "replacements")
    op.drop_index(_CONTENT, "replacements")
    op.drop_column("replacements", "result_content")

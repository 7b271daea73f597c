"""The first paths of an analysis by themselves: all of them may take two megabytes."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_SHOWN = 3


def upgrade() -> None:
    """Make the schema newer."""
    op.add_column("analyses", sa.Column("brief", sa.Text(), server_default="{}", nullable=False))
    op.add_column(
        "analyses", sa.Column("path_count", sa.Integer(), server_default="0", nullable=False)
    )
    names = ("id", "asked", "brief", "path_count")
    table = sa.table("analyses", *map(sa.column, names))
    connection = op.get_bind()
    for number in connection.scalars(sa.select(table.c.id)).all():
        mine = table.c.id == number
        asked = json.loads(connection.execute(sa.select(table.c.asked).where(mine)).scalar_one())
        brief = json.dumps({**asked, "paths": asked["paths"][:_SHOWN]})
        values = {"brief": brief, "path_count": len(asked["paths"])}
        connection.execute(table.update().where(mine).values(**values))


def downgrade() -> None:
    """Make the schema older."""
    op.drop_column("analyses", "path_count")
    op.drop_column("analyses", "brief")

"""Nodes that rest: because people say so, or outside of their hours."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the schema newer."""
    op.add_column("nodes", sa.Column("hours", sa.Text()))
    op.add_column("nodes", sa.Column("pause", sa.String(8)))


def downgrade() -> None:
    """Make the schema older."""
    op.drop_column("nodes", "pause")
    op.drop_column("nodes", "hours")

"""Claims that are asked for twice, because the answer was lost, are one claim."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the schema newer."""
    op.add_column("dispatches", sa.Column("asked", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Make the schema older."""
    op.drop_column("dispatches", "asked")

"""A dispatch whose flow run was cancelled gets no more jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the schema newer."""
    op.add_column(
        "dispatches",
        sa.Column("cancelled", sa.Boolean(), server_default=sa.false(), nullable=False),
    )


def downgrade() -> None:
    """Make the schema older."""
    op.drop_column("dispatches", "cancelled")

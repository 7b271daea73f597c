"""A worker that is stopped gives its analysis back, which counts as no loss."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the schema newer."""
    op.add_column(
        "analyses", sa.Column("releases", sa.Integer(), server_default="0", nullable=False)
    )


def downgrade() -> None:
    """Make the schema older."""
    op.drop_column("analyses", "releases")

"""Presets are saved in the catalog."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the schema newer."""
    op.create_table(
        "presets",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("saved", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_presets")),
    )


def downgrade() -> None:
    """Make the schema older."""
    op.drop_table("presets")

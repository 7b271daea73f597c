"""What jobs took, so that the next ones are estimated by it."""

import sqlalchemy as sa
from alembic import op

from darkstream.catalog.words import Words

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the schema newer."""
    op.add_column("jobs", sa.Column("work", sa.Text()))
    op.create_table(
        "speeds",
        sa.Column("node", Words(), nullable=False),
        sa.Column("encoder", sa.String(32), nullable=False),
        sa.Column("speed", sa.String(32), nullable=False),
        sa.Column("size", sa.String(8), nullable=False),
        sa.Column("rates", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("node", "encoder", "speed", "size", name="pk_speeds"),
    )
    op.create_table(
        "paces",
        sa.Column("library_id", sa.BigInteger(), nullable=False),
        sa.Column("preset", sa.String(128), nullable=False),
        sa.Column("rates", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("library_id", "preset", name="pk_paces"),
    )


def downgrade() -> None:
    """Make the schema older."""
    op.drop_table("paces")
    op.drop_table("speeds")
    op.drop_column("jobs", "work")

"""The longest jobs of a priority go first."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the schema newer."""
    op.execute("UPDATE jobs SET turn = turn - 600.0 * cost_s / (cost_s + 1800.0)")


def downgrade() -> None:
    """Make the schema older."""
    op.execute("UPDATE jobs SET turn = turn + 600.0 * cost_s / (cost_s + 1800.0)")

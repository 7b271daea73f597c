"""Whether a more urgent job waits is found without looking at all that wait."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the schema newer."""
    op.create_index("ix_jobs_band", "jobs", ["status", "waits", "priority"])


def downgrade() -> None:
    """Make the schema older."""
    op.drop_index("ix_jobs_band", "jobs")

"""A job may come after others."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the schema newer."""
    op.create_table(
        "dependencies",
        sa.Column(
            "job_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("jobs.id", name="fk_dependencies_job_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column(
            "after_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("jobs.id", name="fk_dependencies_after_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("job_id", "after_id", name="pk_dependencies"),
    )
    op.create_index("ix_dependencies_after_id", "dependencies", ["after_id"])
    op.add_column(
        "jobs", sa.Column("waits", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column(
        "jobs",
        sa.Column("if_failed", sa.String(length=8), server_default="stop", nullable=False),
    )
    op.drop_index("ix_jobs_queue", "jobs")
    op.create_index("ix_jobs_queue", "jobs", ["status", "pool", "waits", "turn"])


def downgrade() -> None:
    """Make the schema older."""
    op.drop_index("ix_jobs_queue", "jobs")
    op.create_index("ix_jobs_queue", "jobs", ["status", "pool", "turn"])
    op.drop_column("jobs", "if_failed")
    op.drop_column("jobs", "waits")
    op.drop_index("ix_dependencies_after_id", "dependencies")
    op.drop_table("dependencies")

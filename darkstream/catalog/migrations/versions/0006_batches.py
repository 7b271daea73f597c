"""Jobs that people asked for together are a batch, with its own end."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the schema newer."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "batches",
        sa.Column("id", number, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("begun", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("holders", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
        sa.UniqueConstraint("name", name="uq_batches_name"),
    )
    op.create_index("ix_batches_holders", "batches", ["holders"])
    op.add_column("jobs", sa.Column("batch_id", number, nullable=True))
    op.add_column("jobs", sa.Column("output_bytes", sa.BigInteger(), nullable=True))
    op.create_index("ix_jobs_batch_status", "jobs", ["batch_id", "status"])
    # Kept apart from now on, so that sums need not read every outcome.
    if op.get_bind().dialect.name == "sqlite":
        size = "json_extract(outcome, '$.output_bytes')"
    else:
        size = "(outcome::json ->> 'output_bytes')::bigint"
    known = sa.table("jobs", sa.column("output_bytes"), sa.column("outcome"))
    op.execute(
        known.update()
        .where(known.c.outcome.is_not(None))
        .values(output_bytes=sa.literal_column(size))
    )


def downgrade() -> None:
    """Make the schema older."""
    op.drop_index("ix_jobs_batch_status", "jobs")
    op.drop_column("jobs", "output_bytes")
    op.drop_column("jobs", "batch_id")
    op.drop_index("ix_batches_holders", "batches")
    op.drop_table("batches")

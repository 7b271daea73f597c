"""Results take the place of their originals, where a library says so."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_STATE = op.f("ix_replacements_state")
_REQUESTED = op.f("ix_replacements_requested")


def upgrade() -> None:
    """Make the schema newer."""
    op.add_column("libraries", sa.Column("in_place", sa.Text(), nullable=True))
    op.add_column(
        "jobs", sa.Column("in_place", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_table(
        "replacements",
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("quarantine", sa.LargeBinary(), nullable=False),
        sa.Column("record", sa.Text(), nullable=True),
        sa.Column("original_bytes", sa.BigInteger(), nullable=False),
        sa.Column("result_bytes", sa.BigInteger(), nullable=False),
        sa.Column("keep_days", sa.Integer(), nullable=False),
        sa.Column("kept_until", sa.Double(), nullable=True),
        sa.Column("requested", sa.String(length=16), nullable=True),
        sa.Column("force", sa.Boolean(), nullable=False),
        sa.Column("asked", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"],
            ["jobs.id"],
            name=op.f("fk_replacements_job_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_replacements")),
    )
    op.create_index(_STATE, "replacements", ["state"])
    op.create_index(_REQUESTED, "replacements", ["requested"])


def downgrade() -> None:
    """Make the schema older."""
    op.drop_table("replacements")
    op.drop_column("jobs", "in_place")
    op.drop_column("libraries", "in_place")

"""Files that people have analysed by a worker, and what was found."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_STATUS = op.f("ix_analyses_status")


def upgrade() -> None:
    """Make the schema newer."""
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "analyses",
        sa.Column("id", key, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.Column("seen", sa.Double(), nullable=True),
        sa.Column("node", sa.Text(), nullable=True),
        sa.Column("flow_run", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=True),
        sa.Column("analysed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("result_bytes", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_analyses")),
        sqlite_autoincrement=True,
    )
    op.create_index(_STATUS, "analyses", ["status"])
    op.create_table(
        "analysis_results",
        sa.Column("analysis_id", key, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["analysis_id"],
            ["analyses.id"],
            name=op.f("fk_analysis_results_analysis_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("analysis_id", "number", name=op.f("pk_analysis_results")),
    )


def downgrade() -> None:
    """Make the schema older."""
    op.drop_table("analysis_results")
    op.drop_table("analyses")

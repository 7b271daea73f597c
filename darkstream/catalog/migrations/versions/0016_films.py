"""Films whose chunks several workers encode."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the schema newer."""
    op.add_column("dispatches", sa.Column("film_id", _ID))
    op.create_table(
        "films",
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("same", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("unfit", sa.Text(), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_films"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_films_job_id_jobs", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "chunks",
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("cost_s", sa.Double(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("alone", sa.Boolean(), nullable=False),
        sa.Column("dispatch_id", _ID),
        sa.Column("node", sa.Text()),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.Double()),
        sa.PrimaryKeyConstraint("job_id", "number", name="pk_chunks"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["films.job_id"], name="fk_chunks_job_id_films", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_chunks_dispatch_id", "chunks", ["dispatch_id"])


def downgrade() -> None:
    """Make the schema older."""
    op.drop_table("chunks")
    op.drop_table("films")
    op.drop_column("dispatches", "film_id")

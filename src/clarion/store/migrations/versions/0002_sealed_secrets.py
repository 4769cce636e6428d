"""Channels know when their credential ends and was renewed, and when they were removed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema up to this revision."""
    op.add_column("channels", sa.Column("expires_at", sa.BigInteger(), nullable=True))
    op.add_column("channels", sa.Column("renewed_at", sa.BigInteger(), nullable=True))
    op.add_column("channels", sa.Column("removed_at", sa.BigInteger(), nullable=True))

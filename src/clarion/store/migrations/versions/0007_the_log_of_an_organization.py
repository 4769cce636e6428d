"""The log of all audiences of an organization is read in its order, and the stays of a member without their table."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema up to this revision."""
    op.create_index(
        "ix_stream_entries_log",
        "stream_entries",
        ["organization_id", "seq"],
        sqlite_where=sa.text("seq > -1"),
        postgresql_where=sa.text("seq > -1"),
    )
    op.drop_index("ix_memberships_organization_id_member_id", "memberships")
    op.create_index(
        "ix_memberships_of_member", "memberships", ["organization_id", "member_id", "stream_id", "left_seq"]
    )

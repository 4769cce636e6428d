"""What members did to one notification can be found, so that it goes with its entries."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema up to this revision."""
    op.create_index("ix_inbox_states_notification", "inbox_states", ["organization_id", "notification_id"])

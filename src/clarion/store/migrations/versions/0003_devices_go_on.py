"""A device goes on when its address changes: rows of one installation share its uuid, one of them is live."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the schema up to this revision."""
    with op.batch_alter_table("devices", table_kwargs={"sqlite_autoincrement": True}) as batch_op:
        batch_op.add_column(sa.Column("first_id", sa.BigInteger(), nullable=True))
        batch_op.drop_constraint("uq_devices_organization_id_uuid", type_="unique")
    op.create_index(
        "ix_devices_uuid",
        "devices",
        ["organization_id", "uuid"],
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )

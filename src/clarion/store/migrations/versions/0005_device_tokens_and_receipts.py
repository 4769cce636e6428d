"""Devices have tokens of their own and tell more about themselves; receipts; banners that a member dealt with."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Bring the schema up to this revision."""
    _widen_devices()
    op.create_index("ix_deliveries_device_id", "deliveries", ["organization_id", "device_id"])
    _add_receipts()
    op.create_table(
        "withdrawals",
        sa.Column("organization_id", _NUMBER, nullable=False),
        sa.Column("device_id", sa.BigInteger(), nullable=False),
        sa.Column("notification_id", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "device_id", "notification_id", name="pk_withdrawals"),
    )
    op.create_index("ix_withdrawals_due", "withdrawals", ["channel_id", "due_at"])
    op.create_index("ix_withdrawals_asked_at", "withdrawals", ["asked_at"])


def _widen_devices() -> None:
    op.add_column("devices", sa.Column("token_key", sa.Text(), nullable=True))
    op.add_column("devices", sa.Column("token_hash", sa.LargeBinary(), nullable=True))
    for name in ("platform", "app_version", "language", "time_zone"):
        op.add_column("devices", sa.Column(name, sa.Text(), nullable=True))
    for name in ("last_seen_at", "withdrew_at"):
        op.add_column("devices", sa.Column(name, sa.BigInteger(), nullable=True))
    _add_partial_index("token_key", "retired_at IS NULL AND token_key IS NOT NULL", unique=True)
    _add_partial_index("retired_at", "retired_at IS NOT NULL")
    _add_partial_index("first_id", "first_id IS NOT NULL")


def _add_partial_index(column: str, condition: str, *, unique: bool = False) -> None:
    op.create_index(
        f"ix_devices_{column}",
        "devices",
        [column],
        unique=unique,
        sqlite_where=sa.text(condition),
        postgresql_where=sa.text(condition),
    )


def _add_receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("organization_id", _NUMBER, nullable=False),
        sa.Column("notification_id", sa.BigInteger(), nullable=False),
        sa.Column("device_id", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "organization_id", "notification_id", "device_id", "event", name="pk_receipts"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_receipts_received_at", "receipts", ["received_at"])
    op.create_table(
        "receipt_tallies",
        sa.Column("organization_id", _NUMBER, nullable=False),
        sa.Column("notification_id", sa.BigInteger(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("displayed", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("opened", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "notification_id", "slot", name="pk_receipt_tallies"),
    )

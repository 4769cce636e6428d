"""Every table of Clarion. Integers inside, UUIDs outside; moments are milliseconds UTC.

Every table has `organization_id` early in its keys, and only the worker's claim crosses organizations, so
that organizations can be spread over servers. How the tables carry an audience is told in
`docs/architecture.md`; the migrations in `migrations/` lead to exactly this.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

LARGEST_NUMBER: Final = (1 << 63) - 1
"""What the databases' integers can hold: "without end" where a range has none."""

_Number = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only for the type INTEGER


def _row_number() -> Column[int]:
    return Column("id", _Number, primary_key=True, autoincrement=True)


def _organization() -> Column[int]:
    return Column("organization_id", _Number, nullable=False)


def _number(name: str, *, nullable: bool = False, default: int | None = None) -> Column[int]:
    server_default = None if default is None else text(str(default))
    return Column(name, BigInteger, nullable=nullable, server_default=server_default)


def _words(name: str, *, nullable: bool = False) -> Column[str]:
    return Column(name, Text, nullable=nullable)


# ── The directory ────────────────────────────────────────────────────────────────────────────────────────

organizations = Table(
    "organizations",
    metadata,
    _row_number(),
    Column("uuid", Uuid, nullable=False, unique=True),
    _words("name"),
    _words("region"),
    _number("stream_id", nullable=True),
    _number("last_notification", default=0),  # numbers its notifications
    _number(
        "last_seq", default=0
    ),  # orders its releases and recalls; its row lock makes them commit in order
    _number("epoch", default=0),  # a restored backup starts a new one, so that old sync tokens are refused
    _number("created_at"),
    sqlite_autoincrement=True,
)

users = Table(
    "users",
    metadata,
    _row_number(),
    Column("uuid", Uuid, nullable=False, unique=True),
    _number("created_at"),
    sqlite_autoincrement=True,
)

members = Table(
    "members",
    metadata,
    _row_number(),
    _organization(),
    _number("user_id"),
    _number("stream_id", nullable=True),
    _words("email"),
    _words("email_folded"),
    _words("name"),
    _words("role"),
    _number("state_seq", default=0),  # counts this member's own state changes
    _number("read_through_seq", default=0),  # "mark all read" raises this one number
    _number("created_at"),
    Index("ix_members_organization_id_user_id", "organization_id", "user_id", unique=True),
    Index("ix_members_organization_id_email_folded", "organization_id", "email_folded", unique=True),
    sqlite_autoincrement=True,
)

solutions = Table(
    "solutions",
    metadata,
    _row_number(),
    _organization(),
    Column("uuid", Uuid, nullable=False),
    _words("name"),
    _number("stream_id", nullable=True),
    _number("created_at"),
    UniqueConstraint("organization_id", "uuid"),
    sqlite_autoincrement=True,
)

groups = Table(
    "groups",
    metadata,
    _row_number(),
    _organization(),
    _number("solution_id"),
    _words("name"),
    _number("stream_id", nullable=True),
    _number("created_at"),
    UniqueConstraint("organization_id", "solution_id", "name"),
    sqlite_autoincrement=True,
)

tokens = Table(
    "tokens",
    metadata,
    _row_number(),
    _words("key"),
    _number("user_id"),
    _words("name"),
    Column("secret_hash", LargeBinary, nullable=False),
    _number("created_at"),
    _number("expires_at"),
    _number("lease_until"),
    _number("last_used_at", nullable=True),
    UniqueConstraint("key"),
    Index("ix_tokens_user_id", "user_id"),
    sqlite_autoincrement=True,
)

sessions = Table(  # a member's app, signed in; of its tokens only hashes are kept
    "sessions",
    metadata,
    _row_number(),
    _organization(),
    Column("uuid", Uuid, nullable=False),
    _number("member_id"),
    _words("key"),
    _number("minutes"),  # how long each of its tokens is good
    Column("secret_hash", LargeBinary, nullable=False),
    _number("expires_at"),
    Column("former_secret_hash", LargeBinary, nullable=True),  # the token before is good until its own end
    _number("former_expires_at", nullable=True),
    Column("family_hash", LargeBinary, nullable=False),  # what all its refresh tokens have in common
    Column("refresh_hash", LargeBinary, nullable=False),
    Column("former_refresh_hash", LargeBinary, nullable=True),
    Column(
        "salt", LargeBinary, nullable=True
    ),  # with the former refresh token it gives the present pair again
    _number("refreshed_at"),
    _number("created_at"),
    _number("last_used_at"),
    _number("ended_at", nullable=True),
    UniqueConstraint("key"),
    Index("ix_sessions_organization_id_member_id", "organization_id", "member_id", "uuid"),
    Index("ix_sessions_refreshed_at", "refreshed_at"),
    Index(
        "ix_sessions_ended_at",
        "ended_at",
        sqlite_where=text("ended_at IS NOT NULL"),
        postgresql_where=text("ended_at IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

oidc_issuers = Table(  # whose ID tokens an organization accepts
    "oidc_issuers",
    metadata,
    Column("organization_id", _Number, primary_key=True, autoincrement=False),
    _words("issuer"),
    _words("audience"),
    _words("claim"),
    _number("set_at"),
)

# ── Streams: audiences with a log (design §2) ────────────────────────────────────────────────────────────

streams = Table(
    "streams",
    metadata,
    _row_number(),
    _organization(),
    _words("kind"),
    sqlite_autoincrement=True,
)

memberships = Table(  # one row per stay: you see what was released while you belonged
    "memberships",
    metadata,
    _organization(),
    _number("stream_id"),
    _number("member_id"),
    _number("joined_seq"),
    _number("left_seq", nullable=True),
    PrimaryKeyConstraint("organization_id", "stream_id", "member_id", "joined_seq"),
    Index("ix_memberships_of_member", "organization_id", "member_id", "stream_id", "left_seq"),  # whole stays
    sqlite_with_rowid=False,
)

stream_entries = Table(  # a broadcast is written once per stream, not once per member
    "stream_entries",
    metadata,
    _organization(),
    _number("stream_id"),
    _number("seq"),
    _words("kind"),
    _number("notification_id"),
    PrimaryKeyConstraint("organization_id", "stream_id", "seq"),
    Index(
        "ix_stream_entries_notification",
        "organization_id",
        "notification_id",
        "kind",
        "stream_id",
        unique=True,
    ),
    Index(  # the log of all audiences; partial, so that only who names the condition is led this way
        "ix_stream_entries_log",
        "organization_id",
        "seq",
        sqlite_where=text("seq > -1"),
        postgresql_where=text("seq > -1"),
    ),
    sqlite_with_rowid=False,
)

inbox_states = Table(  # exceptions only: what a member read, dismissed or deleted
    "inbox_states",
    metadata,
    _organization(),
    _number("member_id"),
    _number("notification_id"),
    _words("state"),
    _number("changed_seq"),  # the member's state_seq at the change
    _number("changed_at"),
    PrimaryKeyConstraint("organization_id", "member_id", "notification_id"),
    Index("ix_inbox_states_changed", "organization_id", "member_id", "changed_seq"),
    Index("ix_inbox_states_notification", "organization_id", "notification_id"),
    sqlite_with_rowid=False,
)

# ── Notifications ────────────────────────────────────────────────────────────────────────────────────────

notifications = Table(
    "notifications",
    metadata,
    _organization(),
    _number("id"),
    Column("uuid", Uuid, nullable=False),
    _words("scope"),
    _number("solution_id", nullable=True),
    _words("emails", nullable=True),  # as the sender spelt them; JSON
    _words("groups", nullable=True),
    _words("audience"),  # the ids of its streams; JSON
    _words("content"),
    _words("options"),
    _words("description", nullable=True),
    _words("state"),
    _words("collapse_key", nullable=True),
    _number("start_at"),
    _number("expires_at"),
    _number("seq", nullable=True),  # its place in the release order; absent until released
    _number("released_at", nullable=True),
    _number("last_device_id", nullable=True),  # the release covers the devices up to this one
    _number("created_at"),
    _number("created_by"),
    _number("updated_at"),
    _number("updated_by"),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "uuid"),
    Index(
        "ix_notifications_waiting",
        "start_at",
        sqlite_where=text("seq IS NULL AND state = 'queued'"),
        postgresql_where=text("seq IS NULL AND state = 'queued'"),
    ),
    Index(
        "ix_notifications_collapse_key",
        "organization_id",
        "collapse_key",
        "seq",
        sqlite_where=text("collapse_key IS NOT NULL"),
        postgresql_where=text("collapse_key IS NOT NULL"),
    ),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    _organization(),
    _number("user_id"),
    _words("key"),
    Column("body_hash", LargeBinary, nullable=False),
    _words("answer"),  # what was answered the first time; JSON
    _number("created_at"),
    PrimaryKeyConstraint("organization_id", "user_id", "key"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

# ── Pushing (design §3) ──────────────────────────────────────────────────────────────────────────────────

channels = Table(  # one provider credential of one organization, optionally of one solution only
    "channels",
    metadata,
    _row_number(),
    _organization(),
    Column("uuid", Uuid, nullable=False),
    _number("solution_id", nullable=True),
    _words("provider"),
    _words("name"),
    _words("settings"),  # JSON; what is no secret
    _words("secret"),  # sealed under a master key
    _number("held_until", nullable=True),  # a lane rests until then: back-off, or a credential to be mended
    _words("held_reason", nullable=True),
    _number("created_at"),
    _number("expires_at", nullable=True),  # when the credential ends
    _number("renewed_at", nullable=True),  # when it was last given another credential
    _number("removed_at", nullable=True),  # from then on it carries nothing
    UniqueConstraint("organization_id", "uuid"),
    sqlite_autoincrement=True,
)

devices = Table(  # a row never changes its member or address: a change retires it and inserts another
    "devices",
    metadata,
    _row_number(),
    _organization(),
    Column("uuid", Uuid, nullable=False),  # the installation's: all its rows have it, one of them is live
    _number("member_id"),
    _number("channel_id"),
    _words("address"),
    _words("name"),
    _number("registered_at"),
    _number("strikes", default=0),  # how often a provider doubted the address since it last took it
    _number("retired_at", nullable=True),
    _words("retired_reason", nullable=True),
    _number("first_id", nullable=True),  # the row with which this device began, when it was another one
    _words("token_key", nullable=True),  # of the device's own token only the hash is kept
    Column("token_hash", LargeBinary, nullable=True),
    _words("platform", nullable=True),
    _words("app_version", nullable=True),
    _words("language", nullable=True),
    _words("time_zone", nullable=True),
    _number("last_seen_at", nullable=True),  # to the day
    _number(
        "withdrew_at", nullable=True
    ),  # in the first row: when banners were last withdrawn from the device
    Index(
        "ix_devices_uuid",
        "organization_id",
        "uuid",
        unique=True,
        sqlite_where=text("retired_at IS NULL"),
        postgresql_where=text("retired_at IS NULL"),
    ),
    Index(
        "ix_devices_uuid_retired",
        "organization_id",
        "uuid",
        sqlite_where=text("retired_at IS NOT NULL"),
        postgresql_where=text("retired_at IS NOT NULL"),
    ),
    Index("ix_devices_organization_id_member_id", "organization_id", "member_id", "channel_id"),
    Index(
        "ix_devices_address",
        "organization_id",
        "channel_id",
        "address",
        unique=True,
        sqlite_where=text("retired_at IS NULL"),
        postgresql_where=text("retired_at IS NULL"),
    ),
    Index(
        "ix_devices_token_key",
        "token_key",
        unique=True,
        sqlite_where=text("retired_at IS NULL AND token_key IS NOT NULL"),
        postgresql_where=text("retired_at IS NULL AND token_key IS NOT NULL"),
    ),
    Index(
        "ix_devices_retired_at",
        "retired_at",
        sqlite_where=text("retired_at IS NOT NULL"),
        postgresql_where=text("retired_at IS NOT NULL"),
    ),
    Index(
        "ix_devices_first_id",
        "first_id",
        sqlite_where=text("first_id IS NOT NULL"),
        postgresql_where=text("first_id IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

push_runs = Table(  # what is still to be offered: a range of members, or the retries of a notification
    "push_runs",
    metadata,
    _row_number(),
    _organization(),
    _number("notification_id"),
    _number("channel_id"),
    Column("kind", Integer, nullable=False),
    _words("phase"),
    _number("after_member_id", default=0),  # everything up to this member and device is settled
    _number("after_device_id", default=0),
    _number("last_member_id", nullable=True),  # absent: to the end of the audience
    _number("reach"),  # at most so many members; a claim adds them up
    _number("due_at"),
    _words("lease_owner", nullable=True),
    _number("lease_until", default=0),
    Index("ix_push_runs_channel_id", "channel_id", "due_at", "id"),
    Index("ix_push_runs_organization_id_notification_id", "organization_id", "notification_id"),
    Index(
        "ix_push_runs_retry",
        "organization_id",
        "notification_id",
        "channel_id",
        "kind",
        unique=True,
        sqlite_where=text("phase = 'retry'"),
        postgresql_where=text("phase = 'retry'"),
    ),
    sqlite_autoincrement=True,
)

push_tallies = Table(  # counts of settled pages, per notification and channel
    "push_tallies",
    metadata,
    _organization(),
    _number("notification_id"),
    _number("channel_id"),
    Column("kind", Integer, nullable=False),
    _number("accepted", default=0),
    _number("refused", default=0),
    _number("gone", default=0),
    _number("expired", default=0),
    _number("superseded", default=0),
    _number("retried", default=0),  # tries beyond the first
    _number("repeats", default=0),  # tries after an unknown outcome: possible repeats on a screen
    PrimaryKeyConstraint("organization_id", "notification_id", "channel_id", "kind"),
)

deliveries = Table(  # one row per device that deviates; success is the default and has none
    "deliveries",
    metadata,
    _organization(),
    _number("notification_id"),
    _number("device_id"),
    Column("kind", Integer, nullable=False),
    _number("channel_id"),
    _words("state"),
    _number("attempts"),
    _words("reason"),
    _number("due_at", nullable=True),
    _number("updated_at"),
    PrimaryKeyConstraint("organization_id", "notification_id", "device_id", "kind"),
    Index("ix_deliveries_due", "organization_id", "notification_id", "channel_id", "kind", "due_at"),
    Index("ix_deliveries_device_id", "organization_id", "device_id"),
)

receipts = Table(  # what a device told of a notification: that it was displayed, that it was opened
    "receipts",
    metadata,
    _organization(),
    _number("notification_id"),
    _number("device_id"),
    _words("event"),
    _number("at"),
    _number("received_at"),
    PrimaryKeyConstraint("organization_id", "notification_id", "device_id", "event"),
    Index("ix_receipts_received_at", "received_at"),
    sqlite_with_rowid=False,
)

receipt_tallies = Table(  # counts of receipts; every process that takes some adds to a slot of its own
    "receipt_tallies",
    metadata,
    _organization(),
    _number("notification_id"),
    _number("slot"),
    _number("displayed", default=0),
    _number("opened", default=0),
    PrimaryKeyConstraint("organization_id", "notification_id", "slot"),
)

withdrawals = (
    Table(  # a banner to be taken away from one device, because its member has dealt with it elsewhere
        "withdrawals",
        metadata,
        _organization(),
        _number("device_id"),
        _number("notification_id"),
        _number("channel_id"),
        _number("due_at"),
        _number("asked_at"),
        PrimaryKeyConstraint("organization_id", "device_id", "notification_id"),
        Index("ix_withdrawals_due", "channel_id", "due_at"),
        Index("ix_withdrawals_asked_at", "asked_at"),
    )
)

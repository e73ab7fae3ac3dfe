"""Answers to requests with an `Idempotency-Key`, for 24 hours.

Revision: 0006
Revises: 0005
"""

from alembic import op

from migrations.tenancy import SYSTEM_ROLE, let_system_read, protect, system_function

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Deferred: an organization's own creation is recorded in it, and the record comes first.
    op.execute(
        "CREATE TABLE recorded_answers ("
        " organization_id uuid NOT NULL CONSTRAINT fk_recorded_answers_organizations"
        "  REFERENCES organizations (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,"
        " key_hash bytea NOT NULL, fingerprint bytea NOT NULL, answer bytea,"
        " created_at timestamptz NOT NULL DEFAULT now(),"
        " CONSTRAINT pk_recorded_answers PRIMARY KEY (organization_id, key_hash))"
    )
    op.execute("CREATE INDEX ix_recorded_answers_created_at ON recorded_answers (created_at)")
    protect("recorded_answers")
    let_system_read("recorded_answers", columns="organization_id, created_at")
    op.execute(f"GRANT CREATE ON SCHEMA public TO {SYSTEM_ROLE}")  # needed to own a function; taken back below
    system_function(
        "organizations_with_expired_answers()",
        returns="SETOF uuid",
        body=(
            "SELECT DISTINCT organization_id FROM recorded_answers"
            " WHERE created_at < clock_timestamp() - interval '24 hours'"
        ),
    )
    op.execute(f"REVOKE CREATE ON SCHEMA public FROM {SYSTEM_ROLE}")


def downgrade() -> None:
    op.execute("DROP FUNCTION organizations_with_expired_answers()")
    op.execute("DROP TABLE recorded_answers")

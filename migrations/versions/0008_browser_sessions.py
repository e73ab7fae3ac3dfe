"""Browsers that are signed in.

Revision: 0008
Revises: 0007
"""

from alembic import op

from migrations.tenancy import keep_outside

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE TABLE browser_sessions ("
        " id uuid CONSTRAINT pk_browser_sessions PRIMARY KEY, hash bytea NOT NULL, sign_in_hash bytea,"
        " issuer text, subject text, email text, credential_hash bytea,"
        " created_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz NOT NULL, revoked_at timestamptz,"
        " CONSTRAINT uq_browser_sessions_hash UNIQUE (hash),"
        " CONSTRAINT uq_browser_sessions_sign_in_hash UNIQUE (sign_in_hash),"
        " CONSTRAINT ck_browser_sessions_holder CHECK (num_nonnulls(subject, credential_hash) = 1"
        "  AND num_nonnulls(issuer, subject, sign_in_hash) IN (0, 3)))"
    )
    op.execute("CREATE INDEX ix_browser_sessions_expires_at ON browser_sessions (expires_at)")
    keep_outside("browser_sessions", grants="SELECT, INSERT, UPDATE, DELETE")


def downgrade() -> None:
    op.execute("DROP TABLE browser_sessions")

"""Lists of executions in one status read as much on a large table as on a small one.

Revision: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX ix_executions_organization_id_status_created_at_id"
        " ON executions (organization_id, status, created_at DESC, id DESC)"
    )


def downgrade() -> None:
    op.execute("DROP INDEX ix_executions_organization_id_status_created_at_id")

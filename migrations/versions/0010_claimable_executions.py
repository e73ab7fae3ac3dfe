"""Finding quickly what waits for a worker, and how much runs, in an environment.

Revision: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX ix_executions_environment_id_status_created_at_id ON executions"
        " (environment_id, status, created_at, id) WHERE status IN ('scheduled', 'running')"
    )


def downgrade() -> None:
    op.execute("DROP INDEX ix_executions_environment_id_status_created_at_id")

"""What an agent's answers must look like, the variables of its instructions, its limits; the validated answer.

Revision: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE agent_versions ADD COLUMN output_schema jsonb,"
        " ADD COLUMN variables jsonb NOT NULL DEFAULT '{}', ADD COLUMN limits jsonb NOT NULL DEFAULT '{}'"
    )
    op.execute("ALTER TABLE executions ADD COLUMN output jsonb")


def downgrade() -> None:
    op.execute("ALTER TABLE executions DROP COLUMN output")
    op.execute("ALTER TABLE agent_versions DROP COLUMN output_schema, DROP COLUMN variables, DROP COLUMN limits")

"""Which member did what: names of people may be alike.

Revision: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No reference: the member may be gone, the entry stays.
    op.execute("ALTER TABLE audit_log ADD COLUMN member_id uuid")


def downgrade() -> None:
    op.execute("ALTER TABLE audit_log DROP COLUMN member_id")

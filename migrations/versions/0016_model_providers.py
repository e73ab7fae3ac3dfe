"""Providers of models that belong to an organization, and names for models.

Revision: 0016
Revises: 0015
"""

from alembic import op

from migrations.tenancy import protect

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TABLES = {
    "model_providers": (
        "kind text NOT NULL, base_url text, secret text, parameters jsonb NOT NULL, prices jsonb NOT NULL,"
        " retries integer NOT NULL"
    ),
    "model_aliases": "models jsonb NOT NULL, fallback_on jsonb NOT NULL",
}


def upgrade() -> None:
    for table, columns in _TABLES.items():
        op.execute(
            f"CREATE TABLE {table} ("
            f" id uuid CONSTRAINT pk_{table} PRIMARY KEY, organization_id uuid NOT NULL"
            f"  CONSTRAINT fk_{table}_organizations REFERENCES organizations (id) ON DELETE CASCADE,"
            f" name text NOT NULL, {columns},"
            " created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),"
            f" CONSTRAINT uq_{table}_organization_id_name UNIQUE (organization_id, name))"
        )
        op.execute(
            f"CREATE INDEX ix_{table}_organization_id_created_at_id"
            f" ON {table} (organization_id, created_at DESC, id DESC)"
        )
        protect(table)


def downgrade() -> None:
    for table in _TABLES:
        op.execute(f"DROP TABLE {table}")

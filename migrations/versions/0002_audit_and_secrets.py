"""The audit log, and secrets, which are stored encrypted.

Revision: 0002
Revises: 0001
"""

from alembic import op

from migrations.tenancy import protect

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_OWNER = "organization_id uuid NOT NULL CONSTRAINT fk_{0}_organizations REFERENCES organizations (id) ON DELETE CASCADE"


def upgrade() -> None:
    _audit_log()
    _secrets()


def _audit_log() -> None:
    # The references to organizations alone: what an entry tells of may be gone, the entry stays.
    op.execute(
        "CREATE TABLE audit_log ("
        f" id uuid CONSTRAINT pk_audit_log PRIMARY KEY, {_OWNER.format('audit_log')},"
        " actor text NOT NULL, credential_id uuid, action text NOT NULL, method text NOT NULL, route text NOT NULL,"
        " resource_type text NOT NULL, resource_id text, request_id text NOT NULL, client_address text,"
        " status integer NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    op.execute(
        "CREATE INDEX ix_audit_log_organization_id_created_at_id ON audit_log (organization_id, created_at DESC, id DESC)"
    )
    op.execute(
        "CREATE INDEX ix_audit_log_organization_id_resource_type_resource_id_created_at ON audit_log"
        " (organization_id, resource_type, resource_id, created_at DESC, id DESC)"
    )
    protect("audit_log", grants="SELECT, INSERT")


def _secrets() -> None:
    op.execute(
        "CREATE TABLE secrets ("
        f" id uuid CONSTRAINT pk_secrets PRIMARY KEY, {_OWNER.format('secrets')}, environment_id uuid,"
        " name text NOT NULL, version integer NOT NULL,"
        " created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),"
        " CONSTRAINT uq_secrets_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT uq_secrets_organization_id_name UNIQUE (organization_id, name),"
        " CONSTRAINT fk_secrets_environments FOREIGN KEY (organization_id, environment_id)"
        "  REFERENCES environments (organization_id, id) ON DELETE CASCADE)"
    )
    protect("secrets")
    op.execute(
        "CREATE TABLE secret_values ("
        f" {_OWNER.format('secret_values')}, secret_id uuid NOT NULL,"
        " key_id text NOT NULL, wrapped_key bytea NOT NULL, ciphertext bytea NOT NULL,"
        " CONSTRAINT pk_secret_values PRIMARY KEY (organization_id, secret_id),"
        " CONSTRAINT fk_secret_values_secrets FOREIGN KEY (organization_id, secret_id)"
        "  REFERENCES secrets (organization_id, id) ON DELETE CASCADE)"
    )
    # A rotation looks for the values that are not under the newest key yet.
    op.execute("CREATE INDEX ix_secret_values_organization_id_key_id ON secret_values (organization_id, key_id)")
    protect("secret_values")


def downgrade() -> None:
    op.execute("DROP TABLE secret_values, secrets, audit_log")

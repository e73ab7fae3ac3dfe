"""Roles, members and service accounts; and project-owned rows that exist only where one has a role.

Revision: 0005
Revises: 0004
"""

from alembic import op

from migrations.tenancy import (
    SYSTEM_ROLE,
    in_projects,
    keep_to_projects,
    keep_to_projects_no_more,
    let_system_read,
    protect,
    system_function,
    visible,
)

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIMES = "created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()"
_OWNER = "organization_id uuid NOT NULL CONSTRAINT fk_{0}_organizations REFERENCES organizations (id) ON DELETE CASCADE"

_KEPT_TO_PROJECTS = {
    "projects": in_projects("id"),
    "environments": in_projects("project_id"),
    "worker_queues": in_projects("project_id"),
    "secrets": visible("environments", of="secrets", by="environment_id"),
    "secret_values": visible("secrets", of="secret_values", by="secret_id"),
    # Those of the whole organization hold in each project, so whoever starts an execution there must find them.
    "policy_bindings": f"project_id IS NULL OR {in_projects('project_id')}",
    "agents": in_projects("project_id"),
    "agent_versions": visible("agents", of="agent_versions", by="agent_id"),
    "executions": in_projects("project_id"),
    "events": visible("executions", of="events", by="execution_id"),
    "role_grants": in_projects("project_id"),
    "credentials": (
        f"{visible('environments', of='credentials', by='environment_id')}"
        f" OR {visible('executions', of='credentials', by='execution_id')}"
    ),
}

_GRANTS = (
    "(SELECT coalesce(jsonb_agg(jsonb_build_object('role', coalesce(g.role, r.name), 'permissions', r.permissions,"
    " 'project_id', g.project_id)), '[]') FROM role_grants g LEFT JOIN roles r"
    " ON r.organization_id = g.organization_id AND r.id = g.role_id WHERE {0})"
)


def upgrade() -> None:
    op.execute(f"GRANT CREATE ON SCHEMA public TO {SYSTEM_ROLE}")  # needed to own a function; taken back below
    _holders()
    _role_grants()
    _functions()
    for table, condition in _KEPT_TO_PROJECTS.items():
        keep_to_projects(table, condition=condition)
    _make_owners_of_those_who_could_do_everything()
    op.execute(f"REVOKE CREATE ON SCHEMA public FROM {SYSTEM_ROLE}")


def _holders() -> None:
    op.execute(
        "CREATE TABLE roles ("
        f" id uuid CONSTRAINT pk_roles PRIMARY KEY, {_OWNER.format('roles')}, name text NOT NULL,"
        f" description text NOT NULL, permissions jsonb NOT NULL, {_TIMES},"
        " CONSTRAINT uq_roles_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT uq_roles_organization_id_name UNIQUE (organization_id, name))"
    )
    protect("roles")
    let_system_read("roles", columns="id, organization_id, name, permissions")
    op.execute(
        "CREATE TABLE members ("
        f" id uuid CONSTRAINT pk_members PRIMARY KEY, {_OWNER.format('members')}, name text NOT NULL,"
        f" issuer text, subject text, email text, {_TIMES},"
        " CONSTRAINT uq_members_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT uq_members_organization_id_issuer_subject UNIQUE (organization_id, issuer, subject),"
        " CONSTRAINT ck_members_subject CHECK ((issuer IS NULL) = (subject IS NULL)),"
        " CONSTRAINT ck_members_identity CHECK (subject IS NOT NULL OR email IS NOT NULL))"
    )
    op.execute("CREATE UNIQUE INDEX uq_members_organization_id_email ON members (organization_id, lower(email))")
    op.execute("CREATE INDEX ix_members_issuer_subject ON members (issuer, subject)")
    op.execute("CREATE INDEX ix_members_email ON members (lower(email)) WHERE subject IS NULL")
    protect("members")
    let_system_read("members", columns="id, organization_id, name, issuer, subject, email")
    op.execute(
        "CREATE TABLE service_accounts ("
        f" id uuid CONSTRAINT pk_service_accounts PRIMARY KEY, {_OWNER.format('service_accounts')},"
        f" name text NOT NULL, description text NOT NULL, disabled_at timestamptz, {_TIMES},"
        " CONSTRAINT uq_service_accounts_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT uq_service_accounts_organization_id_name UNIQUE (organization_id, name))"
    )
    protect("service_accounts")
    let_system_read("service_accounts", columns="id, organization_id, name, disabled_at")
    op.execute(
        "ALTER TABLE credentials ADD COLUMN service_account_id uuid, ADD COLUMN last_used_at timestamptz,"
        " ADD COLUMN created_by text NOT NULL DEFAULT 'unknown',"
        " ADD CONSTRAINT uq_credentials_organization_id_id UNIQUE (organization_id, id),"
        " ADD CONSTRAINT ck_credentials_service_account CHECK (service_account_id IS NULL OR kind = 'api_key'),"
        " ADD CONSTRAINT fk_credentials_service_accounts FOREIGN KEY (organization_id, service_account_id)"
        "  REFERENCES service_accounts (organization_id, id) ON DELETE CASCADE"
    )
    op.execute("ALTER TABLE credentials ALTER COLUMN created_by DROP DEFAULT")
    op.execute(
        "CREATE INDEX ix_credentials_organization_id_created_at_id ON credentials"
        " (organization_id, created_at DESC, id DESC) WHERE kind = 'api_key'"
    )
    op.execute(
        "CREATE INDEX ix_credentials_organization_id_environment_id ON credentials (organization_id, environment_id)"
        " WHERE environment_id IS NOT NULL"
    )
    let_system_read("credentials", columns="service_account_id, last_used_at", again=True)


def _role_grants() -> None:
    op.execute(
        "CREATE TABLE role_grants ("
        f" id uuid CONSTRAINT pk_role_grants PRIMARY KEY, {_OWNER.format('role_grants')},"
        " role text, role_id uuid, project_id uuid, member_id uuid, service_account_id uuid, credential_id uuid,"
        " created_at timestamptz NOT NULL DEFAULT now(),"
        " CONSTRAINT ck_role_grants_role CHECK (num_nonnulls(role, role_id) = 1),"
        " CONSTRAINT ck_role_grants_holder CHECK (num_nonnulls(member_id, service_account_id, credential_id) = 1),"
        " CONSTRAINT uq_role_grants UNIQUE NULLS NOT DISTINCT (organization_id, member_id, service_account_id,"
        "  credential_id, project_id, role, role_id),"
        " CONSTRAINT fk_role_grants_roles FOREIGN KEY (organization_id, role_id)"
        "  REFERENCES roles (organization_id, id),"
        " CONSTRAINT fk_role_grants_projects FOREIGN KEY (organization_id, project_id)"
        "  REFERENCES projects (organization_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_role_grants_members FOREIGN KEY (organization_id, member_id)"
        "  REFERENCES members (organization_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_role_grants_service_accounts FOREIGN KEY (organization_id, service_account_id)"
        "  REFERENCES service_accounts (organization_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_role_grants_credentials FOREIGN KEY (organization_id, credential_id)"
        "  REFERENCES credentials (organization_id, id) ON DELETE CASCADE)"
    )
    for holder in ("credential_id", "service_account_id", "role_id", "project_id"):
        op.execute(
            f"CREATE INDEX ix_role_grants_organization_id_{holder} ON role_grants (organization_id, {holder})"
            f" WHERE {holder} IS NOT NULL"
        )
    protect("role_grants", grants="SELECT, INSERT, DELETE")
    let_system_read(
        "role_grants",
        columns="organization_id, role, role_id, project_id, member_id, service_account_id, credential_id",
    )


def _functions() -> None:
    op.execute("DROP FUNCTION authenticate(bytea)")
    grants = _GRANTS.format(
        "c.kind = 'api_key' AND g.organization_id = c.organization_id"
        " AND (g.credential_id = c.id OR g.service_account_id = c.service_account_id)"
    )
    system_function(
        "authenticate(presented bytea)",
        returns=(
            "TABLE (id uuid, organization_id uuid, kind text, name text, environment_id uuid, execution_id uuid,"
            " fence integer, model text, grants jsonb, use_unnoted boolean)"
        ),
        body=(
            "SELECT c.id, c.organization_id, CASE WHEN s.id IS NULL THEN c.kind ELSE 'service_account' END,"
            " coalesce(s.name, c.name), c.environment_id, c.execution_id, c.fence,"
            " CASE WHEN e.status = 'running' THEN e.plan -> 'model' ->> 'name' END,"
            " GRANTS,"
            " c.kind <> 'execution_token' AND (c.last_used_at IS NULL"
            "  OR c.last_used_at < clock_timestamp() - interval '1 minute')"
            " FROM credentials c"
            " LEFT JOIN executions e ON e.organization_id = c.organization_id AND e.id = c.execution_id"
            " LEFT JOIN service_accounts s ON s.organization_id = c.organization_id AND s.id = c.service_account_id"
            " WHERE c.hash = presented AND c.revoked_at IS NULL AND s.disabled_at IS NULL"
            " AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp())"
        ).replace("GRANTS", grants),
    )
    grants = _GRANTS.format("g.organization_id = m.organization_id AND g.member_id = m.id")
    system_function(
        "recognise_member(of_issuer text, of_subject text, verified_email text)",
        returns="TABLE (id uuid, organization_id uuid, slug text, name text, invited boolean, grants jsonb)",
        body=(
            "SELECT m.id, m.organization_id, o.slug, m.name, m.subject IS NULL, GRANTS"
            " FROM members m JOIN organizations o ON o.id = m.organization_id"
            " WHERE (m.issuer = of_issuer AND m.subject = of_subject)"
            " OR (m.subject IS NULL AND lower(m.email) = lower(verified_email))"
        ).replace("GRANTS", grants),
    )


def _make_owners_of_those_who_could_do_everything() -> None:
    # So far every API key could do everything. The owner of the tables is bound by row security too.
    for table in ("credentials", "role_grants"):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "INSERT INTO role_grants (id, organization_id, role, credential_id)"
        " SELECT gen_random_uuid(), organization_id, 'owner', id FROM credentials WHERE kind = 'api_key'"
    )
    for table in ("credentials", "role_grants"):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute(f"GRANT CREATE ON SCHEMA public TO {SYSTEM_ROLE}")
    for table in _KEPT_TO_PROJECTS.keys() - {"role_grants"}:
        keep_to_projects_no_more(table)
    op.execute("DROP FUNCTION recognise_member(text, text, text)")
    op.execute("DROP FUNCTION authenticate(bytea)")
    op.execute("DROP INDEX ix_credentials_organization_id_created_at_id, ix_credentials_organization_id_environment_id")
    # An earlier version lets every API key do everything: only those of owners may live on.
    op.execute("ALTER TABLE credentials NO FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE role_grants NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "DELETE FROM credentials c WHERE kind = 'api_key' AND NOT EXISTS (SELECT FROM role_grants g"
        " WHERE g.credential_id = c.id AND g.role = 'owner' AND g.project_id IS NULL)"
    )
    op.execute("ALTER TABLE credentials FORCE ROW LEVEL SECURITY")
    op.execute("DROP TABLE role_grants")
    op.execute(
        "ALTER TABLE credentials DROP CONSTRAINT uq_credentials_organization_id_id, DROP COLUMN service_account_id,"
        " DROP COLUMN last_used_at, DROP COLUMN created_by"
    )
    op.execute("DROP TABLE service_accounts, members, roles")
    system_function(
        "authenticate(presented bytea)",
        returns=(
            "TABLE (id uuid, organization_id uuid, kind text, name text, environment_id uuid, execution_id uuid,"
            " fence integer, model text)"
        ),
        body=(
            "SELECT c.id, c.organization_id, c.kind, c.name, c.environment_id, c.execution_id, c.fence,"
            " CASE WHEN e.status = 'running' THEN e.plan -> 'model' ->> 'name' END"
            " FROM credentials c LEFT JOIN executions e"
            " ON e.organization_id = c.organization_id AND e.id = c.execution_id"
            " WHERE c.hash = presented AND c.revoked_at IS NULL"
            " AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp())"
        ),
    )
    op.execute(f"REVOKE CREATE ON SCHEMA public FROM {SYSTEM_ROLE}")

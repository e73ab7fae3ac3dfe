"""Organizations, agents, executions and their events, each behind row-level security.

Revision: 0001
Revises: none
"""

from alembic import op

from migrations.tenancy import APPLICATION_ROLE, SYSTEM_ROLE, let_system_read, protect, system_function

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIMES = "created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()"
_OWNER = "organization_id uuid NOT NULL CONSTRAINT fk_{0}_organizations REFERENCES organizations (id) ON DELETE CASCADE"

_ENSURE_ROLES = f"""
DO $$
DECLARE role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['{APPLICATION_ROLE}', '{SYSTEM_ROLE}'] LOOP
    BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN NOBYPASSRLS', role_name);
      END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL; -- another database of this server is being migrated at the same moment
    END;
    BEGIN
      EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
    EXCEPTION WHEN insufficient_privilege THEN
      IF NOT pg_has_role(CURRENT_USER, role_name, 'MEMBER') THEN
        RAISE EXCEPTION 'The migrating login must be a member of %. As a superuser run: GRANT % TO %;',
          role_name, role_name, CURRENT_USER;
      END IF;
    END;
  END LOOP;
END $$
"""


def upgrade() -> None:
    op.execute(_ENSURE_ROLES)
    op.execute(f"GRANT USAGE ON SCHEMA public TO {APPLICATION_ROLE}, {SYSTEM_ROLE}")
    op.execute(f"GRANT CREATE ON SCHEMA public TO {SYSTEM_ROLE}")  # needed to own a function; taken back below
    _organizations()
    _agents()
    _executions()
    _credentials()
    op.execute(f"REVOKE CREATE ON SCHEMA public FROM {SYSTEM_ROLE}")


def _organizations() -> None:
    op.execute(
        "CREATE TABLE organizations ("
        " id uuid CONSTRAINT pk_organizations PRIMARY KEY, name text NOT NULL, slug text NOT NULL,"
        f" {_TIMES}, CONSTRAINT uq_organizations_slug UNIQUE (slug))"
    )
    protect("organizations", grants="SELECT, INSERT, UPDATE", column="id")
    let_system_read("organizations", columns="id, name, slug, created_at, updated_at")
    system_function(
        "all_organizations()",
        returns="TABLE (id uuid, name text, slug text, created_at timestamptz, updated_at timestamptz)",
        body="SELECT id, name, slug, created_at, updated_at FROM organizations",
    )
    op.execute(
        "CREATE TABLE projects ("
        f" id uuid CONSTRAINT pk_projects PRIMARY KEY, {_OWNER.format('projects')},"
        f" name text NOT NULL, slug text NOT NULL, {_TIMES},"
        " CONSTRAINT uq_projects_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT uq_projects_organization_id_slug UNIQUE (organization_id, slug))"
    )
    protect("projects")
    op.execute(
        "CREATE TABLE environments ("
        f" id uuid CONSTRAINT pk_environments PRIMARY KEY, {_OWNER.format('environments')}, project_id uuid NOT NULL,"
        " name text NOT NULL, slug text NOT NULL, work_pool text NOT NULL, llm_override jsonb, provisioned_at timestamptz,"
        f" {_TIMES},"
        " CONSTRAINT uq_environments_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT uq_environments_organization_id_project_id_id UNIQUE (organization_id, project_id, id),"
        " CONSTRAINT uq_environments_organization_id_slug UNIQUE (organization_id, slug),"
        " CONSTRAINT uq_environments_work_pool UNIQUE (work_pool),"
        " CONSTRAINT fk_environments_projects FOREIGN KEY (organization_id, project_id)"
        "  REFERENCES projects (organization_id, id))"
    )
    protect("environments")
    let_system_read("environments", columns="id, organization_id, provisioned_at")
    system_function(
        "unprovisioned_environments()",
        returns="TABLE (organization_id uuid, id uuid)",
        body="SELECT organization_id, id FROM environments WHERE provisioned_at IS NULL",
    )


def _agents() -> None:
    op.execute(
        "CREATE TABLE agents ("
        f" id uuid CONSTRAINT pk_agents PRIMARY KEY, {_OWNER.format('agents')}, project_id uuid NOT NULL,"
        f" environment_id uuid NOT NULL, name text NOT NULL, version integer NOT NULL, {_TIMES},"
        " CONSTRAINT uq_agents_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT uq_agents_organization_id_environment_id_name UNIQUE (organization_id, environment_id, name),"
        " CONSTRAINT fk_agents_environments FOREIGN KEY (organization_id, project_id, environment_id)"
        "  REFERENCES environments (organization_id, project_id, id))"
    )
    protect("agents")
    op.execute(
        "CREATE TABLE agent_versions ("
        f" {_OWNER.format('agent_versions')}, agent_id uuid NOT NULL, version integer NOT NULL,"
        " description text NOT NULL, instructions text NOT NULL, agent_type text NOT NULL, llm_config jsonb NOT NULL,"
        " toolsets jsonb NOT NULL, policies jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),"
        " CONSTRAINT pk_agent_versions PRIMARY KEY (organization_id, agent_id, version),"
        " CONSTRAINT fk_agent_versions_agents FOREIGN KEY (organization_id, agent_id)"
        "  REFERENCES agents (organization_id, id) ON DELETE CASCADE)"
    )
    protect("agent_versions", grants="SELECT, INSERT, DELETE")
    op.execute(
        "CREATE TABLE policies ("
        f" id uuid CONSTRAINT pk_policies PRIMARY KEY, {_OWNER.format('policies')}, name text NOT NULL,"
        f" description text NOT NULL, version integer NOT NULL, {_TIMES},"
        " CONSTRAINT uq_policies_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT uq_policies_organization_id_name UNIQUE (organization_id, name))"
    )
    protect("policies")
    op.execute(
        "CREATE TABLE policy_versions ("
        f" {_OWNER.format('policy_versions')}, policy_id uuid NOT NULL, version integer NOT NULL, module text NOT NULL,"
        " created_at timestamptz NOT NULL DEFAULT now(),"
        " CONSTRAINT pk_policy_versions PRIMARY KEY (organization_id, policy_id, version),"
        " CONSTRAINT fk_policy_versions_policies FOREIGN KEY (organization_id, policy_id)"
        "  REFERENCES policies (organization_id, id) ON DELETE CASCADE)"
    )
    protect("policy_versions", grants="SELECT, INSERT, DELETE")


def _executions() -> None:
    op.execute(
        "CREATE TABLE executions ("
        f" id uuid CONSTRAINT pk_executions PRIMARY KEY, {_OWNER.format('executions')}, project_id uuid NOT NULL,"
        " environment_id uuid NOT NULL, agent_id uuid NOT NULL, agent_version integer NOT NULL,"
        " workflow_type text NOT NULL, status text NOT NULL, input jsonb NOT NULL, plan jsonb NOT NULL,"
        " requested_by text NOT NULL, response text, error text, error_code text, usage jsonb,"
        " flow_run_id uuid, fence integer NOT NULL DEFAULT 0, claim_id uuid, claimed_by text, lease_expires_at timestamptz,"
        " cancel_requested_at timestamptz, event_count integer NOT NULL DEFAULT 0,"
        " reported_sequence integer NOT NULL DEFAULT 0, run_attempt integer NOT NULL DEFAULT 0,"
        " dispatch_attempts integer NOT NULL DEFAULT 0, dispatch_error text,"
        " attend_at timestamptz, started_at timestamptz, finished_at timestamptz,"
        f" {_TIMES},"
        " CONSTRAINT uq_executions_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT ck_executions_status CHECK (status IN ('pending', 'scheduled', 'running', 'waiting_for_approval',"
        "  'waiting_for_input', 'paused', 'completed', 'failed', 'cancelled')),"
        " CONSTRAINT fk_executions_environments FOREIGN KEY (organization_id, project_id, environment_id)"
        "  REFERENCES environments (organization_id, project_id, id),"
        " CONSTRAINT fk_executions_agent_versions FOREIGN KEY (organization_id, agent_id, agent_version)"
        "  REFERENCES agent_versions (organization_id, agent_id, version))"
    )
    op.execute(
        "CREATE INDEX ix_executions_organization_id_created_at_id ON executions (organization_id, created_at DESC, id DESC)"
    )
    op.execute(
        "CREATE INDEX ix_executions_organization_id_agent_id_created_at_id"
        " ON executions (organization_id, agent_id, created_at DESC, id DESC)"
    )
    # Who must be looked at next, and when: short, because finished executions are not in it.
    op.execute("CREATE INDEX ix_executions_attend_at ON executions (attend_at) WHERE attend_at IS NOT NULL")
    protect("executions")
    let_system_read("executions", columns="id, organization_id, attend_at, status, plan")
    system_function(
        "executions_to_attend(most integer)",
        returns="TABLE (organization_id uuid, id uuid)",
        body=(
            "SELECT organization_id, id FROM executions"
            " WHERE attend_at <= clock_timestamp() ORDER BY attend_at LIMIT most"
        ),
    )
    op.execute(
        "CREATE TABLE events ("
        f" {_OWNER.format('events')}, execution_id uuid NOT NULL, number integer NOT NULL, type text NOT NULL,"
        " data jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp(),"
        " CONSTRAINT pk_events PRIMARY KEY (organization_id, execution_id, number),"
        " CONSTRAINT fk_events_executions FOREIGN KEY (organization_id, execution_id)"
        "  REFERENCES executions (organization_id, id) ON DELETE CASCADE)"
    )
    protect("events", grants="SELECT, INSERT")


def _credentials() -> None:
    op.execute(
        "CREATE TABLE credentials ("
        f" id uuid CONSTRAINT pk_credentials PRIMARY KEY, {_OWNER.format('credentials')}, kind text NOT NULL,"
        " name text NOT NULL, hash bytea NOT NULL, hint text NOT NULL, environment_id uuid, execution_id uuid,"
        f" fence integer, expires_at timestamptz, revoked_at timestamptz, {_TIMES},"
        " CONSTRAINT uq_credentials_hash UNIQUE (hash),"
        " CONSTRAINT ck_credentials_kind CHECK (kind IN ('api_key', 'worker_key', 'execution_token')),"
        " CONSTRAINT ck_credentials_scope CHECK ((kind = 'worker_key') = (environment_id IS NOT NULL)"
        "  AND (kind = 'execution_token') = (execution_id IS NOT NULL AND fence IS NOT NULL)),"
        " CONSTRAINT fk_credentials_environments FOREIGN KEY (organization_id, environment_id)"
        "  REFERENCES environments (organization_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_credentials_executions FOREIGN KEY (organization_id, execution_id)"
        "  REFERENCES executions (organization_id, id) ON DELETE CASCADE)"
    )
    op.execute(
        "CREATE INDEX ix_credentials_organization_id_execution_id ON credentials (organization_id, execution_id)"
        " WHERE execution_id IS NOT NULL"
    )
    protect("credentials")
    let_system_read(
        "credentials",
        columns="id, organization_id, kind, name, hash, environment_id, execution_id, fence, expires_at, revoked_at",
    )
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


def downgrade() -> None:
    # The two roles stay: other databases of the same server may use them.
    for function in (
        "authenticate(bytea)",
        "executions_to_attend(integer)",
        "unprovisioned_environments()",
        "all_organizations()",
    ):
        op.execute(f"DROP FUNCTION {function}")
    tables = (
        "credentials, events, executions, policy_versions, policies, agent_versions, agents, environments, projects,"
        " organizations"
    )
    op.execute(f"DROP TABLE {tables}")

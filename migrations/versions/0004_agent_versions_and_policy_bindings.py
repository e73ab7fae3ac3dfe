"""Agents that change and can be deleted, and policies that are bound to where they apply.

Revision: 0004
Revises: 0003
"""

from alembic import op

from migrations.tenancy import protect

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_UNIQUE_NAME = "uq_agents_organization_id_environment_id_name"
_AGENTS_TO_ENVIRONMENTS = (
    "ALTER TABLE agents DROP CONSTRAINT fk_agents_environments,"
    " ADD CONSTRAINT fk_agents_environments FOREIGN KEY (organization_id, project_id, environment_id)"
    " REFERENCES environments (organization_id, project_id, id)"
)


def upgrade() -> None:
    _agents()
    _policy_bindings()


def _agents() -> None:
    op.execute("ALTER TABLE agents ADD COLUMN deleted_at timestamptz")
    # The application refuses to delete an environment with agents; those that are deleted already go with it.
    op.execute(f"{_AGENTS_TO_ENVIRONMENTS} ON DELETE CASCADE")
    op.execute(f"ALTER TABLE agents DROP CONSTRAINT {_UNIQUE_NAME}")
    # The name of a deleted agent is free again.
    op.execute(
        f"CREATE UNIQUE INDEX {_UNIQUE_NAME} ON agents (organization_id, environment_id, name) WHERE deleted_at IS NULL"
    )
    op.execute("ALTER TABLE agent_versions ADD COLUMN name text")
    _unbound("agents", "agent_versions")
    op.execute(
        "UPDATE agent_versions SET name = agents.name FROM agents"
        " WHERE agents.organization_id = agent_versions.organization_id AND agents.id = agent_versions.agent_id"
    )
    _bound("agents", "agent_versions")
    op.execute("ALTER TABLE agent_versions ALTER COLUMN name SET NOT NULL")


def _policy_bindings() -> None:
    op.execute(
        "CREATE TABLE policy_bindings ("
        " id uuid CONSTRAINT pk_policy_bindings PRIMARY KEY, organization_id uuid NOT NULL"
        "  CONSTRAINT fk_policy_bindings_organizations REFERENCES organizations (id) ON DELETE CASCADE,"
        " policy text NOT NULL, policy_id uuid, project_id uuid, environment_id uuid, agent_id uuid,"
        " created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),"
        " CONSTRAINT uq_policy_bindings_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT uq_policy_bindings_place UNIQUE NULLS NOT DISTINCT"
        "  (organization_id, policy, project_id, environment_id, agent_id),"
        " CONSTRAINT ck_policy_bindings_place CHECK (num_nonnulls(environment_id, agent_id) <= 1"
        "  AND (project_id IS NOT NULL OR num_nonnulls(environment_id, agent_id) = 0)),"
        " CONSTRAINT fk_policy_bindings_policies FOREIGN KEY (organization_id, policy_id)"
        "  REFERENCES policies (organization_id, id),"
        " CONSTRAINT fk_policy_bindings_projects FOREIGN KEY (organization_id, project_id)"
        "  REFERENCES projects (organization_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_policy_bindings_environments FOREIGN KEY (organization_id, project_id, environment_id)"
        "  REFERENCES environments (organization_id, project_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_policy_bindings_agents FOREIGN KEY (organization_id, agent_id)"
        "  REFERENCES agents (organization_id, id) ON DELETE CASCADE)"
    )
    protect("policy_bindings", grants="SELECT, INSERT, DELETE")


def downgrade() -> None:
    op.execute("DROP TABLE policy_bindings")
    op.execute(_AGENTS_TO_ENVIRONMENTS)
    op.execute("ALTER TABLE agent_versions DROP COLUMN name")
    # Executions need the rows of deleted agents, which must now have names of their own.
    _unbound("agents")
    op.execute("UPDATE agents SET name = name || ' (deleted ' || id || ')' WHERE deleted_at IS NOT NULL")
    _bound("agents")
    op.execute(f"DROP INDEX {_UNIQUE_NAME}")
    op.execute(
        f"ALTER TABLE agents DROP COLUMN deleted_at,"
        f" ADD CONSTRAINT {_UNIQUE_NAME} UNIQUE (organization_id, environment_id, name)"
    )


def _unbound(*tables: str) -> None:
    # The owner of the tables, who migrates, is subject to their row policies too: without this it would see no row.
    for table in tables:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")


def _bound(*tables: str) -> None:
    for table in tables:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")

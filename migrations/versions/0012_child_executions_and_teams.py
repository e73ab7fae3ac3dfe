"""Executions that other executions started, and teams of agents.

Revision: 0012
Revises: 0011
"""

from alembic import op

from migrations.tenancy import in_projects, keep_to_projects, protect, visible

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_OWNER = "organization_id uuid NOT NULL CONSTRAINT fk_{0}_organizations REFERENCES organizations (id) ON DELETE CASCADE"
_COLUMNS = (
    "parent_execution_id",
    "root_execution_id",
    "ancestor_ids",
    "depth",
    "child_key",
    "child_count",
    "lent_by_execution_id",
    "team_id",
    "requester_credential_id",
    "requester_member_id",
)


def upgrade() -> None:
    _teams()
    _executions()


def _teams() -> None:
    # What a team refers to is of its own project, whoever asks.
    op.execute(
        "ALTER TABLE agents ADD CONSTRAINT uq_agents_organization_id_project_id_id"
        " UNIQUE (organization_id, project_id, id)"
    )
    op.execute(
        "CREATE TABLE teams ("
        f" id uuid CONSTRAINT pk_teams PRIMARY KEY, {_OWNER.format('teams')}, project_id uuid NOT NULL,"
        " environment_id uuid NOT NULL, leader_agent_id uuid NOT NULL, name text NOT NULL, description text NOT NULL,"
        " instructions text NOT NULL, max_delegations integer NOT NULL, version integer NOT NULL,"
        " deleted_at timestamptz,"
        " created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),"
        " CONSTRAINT uq_teams_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT ck_teams_max_delegations CHECK (max_delegations >= 1),"
        " CONSTRAINT fk_teams_environments FOREIGN KEY (organization_id, project_id, environment_id)"
        "  REFERENCES environments (organization_id, project_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_teams_agents FOREIGN KEY (organization_id, project_id, leader_agent_id)"
        "  REFERENCES agents (organization_id, project_id, id) ON DELETE CASCADE)"
    )
    # The name of a deleted team is free again; its row stays, because executions point at it.
    op.execute(
        "CREATE UNIQUE INDEX uq_teams_organization_id_environment_id_name ON teams"
        " (organization_id, environment_id, name) WHERE deleted_at IS NULL"
    )
    op.execute(
        "CREATE INDEX ix_teams_organization_id_created_at_id ON teams (organization_id, created_at DESC, id DESC)"
    )
    op.execute("CREATE INDEX ix_teams_organization_id_leader_agent_id ON teams (organization_id, leader_agent_id)")
    protect("teams")
    keep_to_projects("teams", condition=in_projects("project_id"))
    op.execute(
        "CREATE TABLE team_members ("
        f" {_OWNER.format('team_members')}, project_id uuid NOT NULL, team_id uuid NOT NULL, agent_id uuid NOT NULL,"
        " position integer NOT NULL, role text NOT NULL,"
        " CONSTRAINT pk_team_members PRIMARY KEY (organization_id, team_id, agent_id),"
        " CONSTRAINT fk_team_members_teams FOREIGN KEY (organization_id, team_id)"
        "  REFERENCES teams (organization_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_team_members_agents FOREIGN KEY (organization_id, project_id, agent_id)"
        "  REFERENCES agents (organization_id, project_id, id) ON DELETE CASCADE)"
    )
    op.execute("CREATE INDEX ix_team_members_organization_id_agent_id ON team_members (organization_id, agent_id)")
    protect("team_members", grants="SELECT, INSERT, DELETE")
    keep_to_projects("team_members", condition=visible("teams", of="team_members", by="team_id"))


def _executions() -> None:
    # Null where nobody else started it: `coalesce(root_execution_id, id)` is the tree that an execution belongs to.
    # The requester is no foreign key: who is gone is found to be gone, and executions are stored often.
    op.execute(
        "ALTER TABLE executions ADD COLUMN parent_execution_id uuid, ADD COLUMN root_execution_id uuid,"
        " ADD COLUMN ancestor_ids uuid[] NOT NULL DEFAULT '{}', ADD COLUMN depth integer NOT NULL DEFAULT 0,"
        " ADD COLUMN child_key text, ADD COLUMN child_count integer NOT NULL DEFAULT 0,"
        " ADD COLUMN lent_by_execution_id uuid, ADD COLUMN team_id uuid,"
        " ADD COLUMN requester_credential_id uuid, ADD COLUMN requester_member_id uuid,"
        " ADD CONSTRAINT fk_executions_executions_parent FOREIGN KEY (organization_id, parent_execution_id)"
        "  REFERENCES executions (organization_id, id) ON DELETE SET NULL (parent_execution_id),"
        " ADD CONSTRAINT fk_executions_executions_root FOREIGN KEY (organization_id, root_execution_id)"
        "  REFERENCES executions (organization_id, id) ON DELETE SET NULL (root_execution_id),"
        " ADD CONSTRAINT fk_executions_executions_lent_by FOREIGN KEY (organization_id, lent_by_execution_id)"
        "  REFERENCES executions (organization_id, id) ON DELETE SET NULL (lent_by_execution_id),"
        " ADD CONSTRAINT fk_executions_teams FOREIGN KEY (organization_id, team_id)"
        "  REFERENCES teams (organization_id, id) ON DELETE SET NULL (team_id)"
    )
    # The same call of a tool starts the same child, however often it is made.
    op.execute(
        "CREATE UNIQUE INDEX uq_executions_organization_id_parent_execution_id_child_key ON executions"
        " (organization_id, parent_execution_id, child_key) WHERE parent_execution_id IS NOT NULL"
    )
    for column in ("root_execution_id", "team_id", "lent_by_execution_id"):
        op.execute(
            f"CREATE INDEX ix_executions_organization_id_{column} ON executions (organization_id, {column})"
            f" WHERE {column} IS NOT NULL"
        )


def downgrade() -> None:
    op.execute(f"ALTER TABLE executions {', '.join(f'DROP COLUMN {column}' for column in _COLUMNS)}")
    op.execute("DROP TABLE team_members, teams")
    op.execute("ALTER TABLE agents DROP CONSTRAINT uq_agents_organization_id_project_id_id")

"""Configurations of toolsets, and artifacts of executions.

Revision: 0015
Revises: 0014
"""

from alembic import op

from migrations.tenancy import in_projects, keep_to_projects, protect, visible

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _toolset_configs()
    _artifacts()


def _toolset_configs() -> None:
    op.execute(
        "CREATE TABLE toolset_configs ("
        " id uuid CONSTRAINT pk_toolset_configs PRIMARY KEY, organization_id uuid NOT NULL"
        "  CONSTRAINT fk_toolset_configs_organizations REFERENCES organizations (id) ON DELETE CASCADE,"
        " project_id uuid, environment_id uuid, toolset text NOT NULL, settings jsonb NOT NULL, secrets jsonb NOT NULL,"
        " enabled boolean NOT NULL,"
        " created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),"
        " CONSTRAINT uq_toolset_configs_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT uq_toolset_configs_place UNIQUE NULLS NOT DISTINCT"
        "  (organization_id, toolset, project_id, environment_id),"
        " CONSTRAINT ck_toolset_configs_place CHECK (project_id IS NOT NULL OR environment_id IS NULL),"
        " CONSTRAINT fk_toolset_configs_projects FOREIGN KEY (organization_id, project_id)"
        "  REFERENCES projects (organization_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_toolset_configs_environments FOREIGN KEY (organization_id, project_id, environment_id)"
        "  REFERENCES environments (organization_id, project_id, id) ON DELETE CASCADE)"
    )
    op.execute(
        "CREATE INDEX ix_toolset_configs_organization_id_created_at_id"
        " ON toolset_configs (organization_id, created_at DESC, id DESC)"
    )
    op.execute(
        "CREATE INDEX ix_toolset_configs_organization_id_environment_id"
        " ON toolset_configs (organization_id, environment_id)"
    )
    protect("toolset_configs")
    # Those of the whole organization hold in each project, so whoever starts an execution there must find them.
    keep_to_projects("toolset_configs", condition=f"project_id IS NULL OR {in_projects('project_id')}")


def _artifacts() -> None:
    # The id follows from what the worker calls it, so it is unique in the organization, as far as others can notice.
    op.execute(
        "CREATE TABLE artifacts ("
        " id uuid, organization_id uuid NOT NULL"
        "  CONSTRAINT fk_artifacts_organizations REFERENCES organizations (id) ON DELETE CASCADE,"
        " execution_id uuid NOT NULL, name text NOT NULL, media_type text NOT NULL, size integer NOT NULL,"
        " sha256 text NOT NULL, content bytea NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),"
        " CONSTRAINT pk_artifacts PRIMARY KEY (organization_id, id),"
        " CONSTRAINT fk_artifacts_executions FOREIGN KEY (organization_id, execution_id)"
        "  REFERENCES executions (organization_id, id) ON DELETE CASCADE)"
    )
    op.execute(
        "CREATE INDEX ix_artifacts_organization_id_execution_id_created_at_id"
        " ON artifacts (organization_id, execution_id, created_at DESC, id DESC)"
    )
    protect("artifacts", grants="SELECT, INSERT")
    keep_to_projects("artifacts", condition=visible("executions", of="artifacts", by="execution_id"))


def downgrade() -> None:
    op.execute("DROP TABLE artifacts")
    op.execute("DROP TABLE toolset_configs")

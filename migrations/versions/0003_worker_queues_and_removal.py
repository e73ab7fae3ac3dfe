"""Worker queues, and organizations and environments that can be deleted.

Revision: 0003
Revises: 0002
"""

from alembic import op

from migrations.tenancy import APPLICATION_ROLE, SYSTEM_ROLE, keep_outside, let_system_read, protect, system_function

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(f"GRANT DELETE ON organizations TO {APPLICATION_ROLE}")
    op.execute(
        "CREATE INDEX ix_executions_organization_id_environment_id_created_at_id"
        " ON executions (organization_id, environment_id, created_at DESC, id DESC)"
    )
    op.execute(
        "ALTER TABLE environments ADD COLUMN pool_version integer NOT NULL DEFAULT 1,"
        " ADD COLUMN provisioned_version integer NOT NULL DEFAULT 0"
    )
    _worker_queues()
    _abandoned_work_pools()
    op.execute(f"GRANT CREATE ON SCHEMA public TO {SYSTEM_ROLE}")  # needed to own a function; taken back below
    _functions()
    op.execute(f"REVOKE CREATE ON SCHEMA public FROM {SYSTEM_ROLE}")


def _worker_queues() -> None:
    op.execute(
        "CREATE TABLE worker_queues ("
        " id uuid CONSTRAINT pk_worker_queues PRIMARY KEY, organization_id uuid NOT NULL"
        "  CONSTRAINT fk_worker_queues_organizations REFERENCES organizations (id) ON DELETE CASCADE,"
        " project_id uuid NOT NULL, environment_id uuid NOT NULL, name text NOT NULL, description text NOT NULL,"
        " priority integer NOT NULL, concurrency_limit integer, paused boolean NOT NULL,"
        " created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),"
        " CONSTRAINT uq_worker_queues_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT uq_worker_queues_organization_id_environment_id_name UNIQUE (organization_id, environment_id, name),"
        " CONSTRAINT ck_worker_queues_priority CHECK (priority >= 1),"
        " CONSTRAINT ck_worker_queues_concurrency_limit CHECK (concurrency_limit >= 1),"
        " CONSTRAINT fk_worker_queues_environments FOREIGN KEY (organization_id, project_id, environment_id)"
        "  REFERENCES environments (organization_id, project_id, id) ON DELETE CASCADE)"
    )
    # The owner of the tables, who migrates, is subject to their row policies too: without this it would see no row.
    op.execute("ALTER TABLE environments NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "INSERT INTO worker_queues (id, organization_id, project_id, environment_id, name, description, priority, paused)"
        " SELECT gen_random_uuid(), organization_id, project_id, id, 'default', '', 1, false FROM environments"
    )
    op.execute("ALTER TABLE environments FORCE ROW LEVEL SECURITY")
    protect("worker_queues")


def _abandoned_work_pools() -> None:
    op.execute(
        "CREATE TABLE abandoned_work_pools ("
        " id uuid CONSTRAINT pk_abandoned_work_pools PRIMARY KEY, work_pool text NOT NULL,"
        " created_at timestamptz NOT NULL DEFAULT now())"
    )
    keep_outside("abandoned_work_pools", grants="SELECT, INSERT, DELETE")
    let_system_read("abandoned_work_pools", columns="work_pool")


def _functions() -> None:
    op.execute(f"GRANT SELECT (pool_version, provisioned_version) ON environments TO {SYSTEM_ROLE}")
    op.execute("DROP FUNCTION unprovisioned_environments()")
    system_function(
        "unprovisioned_environments()",
        returns="TABLE (organization_id uuid, id uuid)",
        body="SELECT organization_id, id FROM environments WHERE provisioned_version < pool_version",
    )
    system_function(
        "work_pool_is_abandoned(pool text)",
        returns="boolean",
        body="SELECT EXISTS (SELECT FROM abandoned_work_pools WHERE work_pool = pool)",
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION work_pool_is_abandoned(text)")
    op.execute("DROP FUNCTION unprovisioned_environments()")
    op.execute("DROP TABLE abandoned_work_pools, worker_queues")
    op.execute("ALTER TABLE environments DROP COLUMN pool_version, DROP COLUMN provisioned_version")
    op.execute("DROP INDEX ix_executions_organization_id_environment_id_created_at_id")
    op.execute(f"REVOKE DELETE ON organizations FROM {APPLICATION_ROLE}")
    op.execute(f"GRANT CREATE ON SCHEMA public TO {SYSTEM_ROLE}")  # needed to own a function; taken back below
    system_function(
        "unprovisioned_environments()",
        returns="TABLE (organization_id uuid, id uuid)",
        body="SELECT organization_id, id FROM environments WHERE provisioned_at IS NULL",
    )
    op.execute(f"REVOKE CREATE ON SCHEMA public FROM {SYSTEM_ROLE}")

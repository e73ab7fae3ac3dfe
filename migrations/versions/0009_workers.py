"""Workers, their sessions, and tokens to join with once.

Revision: 0009
Revises: 0008
"""

from alembic import op

from migrations.tenancy import SYSTEM_ROLE, in_projects, keep_to_projects, let_system_read, protect, system_function

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TIMES = "created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()"

_GRANTS = (
    "(SELECT coalesce(jsonb_agg(jsonb_build_object('role', coalesce(g.role, r.name), 'permissions', r.permissions,"
    " 'project_id', g.project_id)), '[]') FROM role_grants g LEFT JOIN roles r"
    " ON r.organization_id = g.organization_id AND r.id = g.role_id"
    " WHERE c.kind = 'api_key' AND g.organization_id = c.organization_id"
    " AND (g.credential_id = c.id OR g.service_account_id = c.service_account_id))"
)


def upgrade() -> None:
    op.execute("ALTER TABLE environments ADD COLUMN max_workers integer")
    op.execute("ALTER TABLE environments ADD CONSTRAINT ck_environments_max_workers CHECK (max_workers >= 0)")
    op.execute("ALTER TABLE worker_queues ADD COLUMN max_workers integer")
    op.execute("ALTER TABLE worker_queues ADD CONSTRAINT ck_worker_queues_max_workers CHECK (max_workers >= 0)")
    _workers()
    _credentials()
    op.execute(f"GRANT CREATE ON SCHEMA public TO {SYSTEM_ROLE}")  # needed to own a function; taken back below
    op.execute("DROP FUNCTION authenticate(bytea)")
    _authenticate()
    op.execute(f"REVOKE CREATE ON SCHEMA public FROM {SYSTEM_ROLE}")


def _workers() -> None:
    op.execute(
        "CREATE TABLE workers ("
        " id uuid CONSTRAINT pk_workers PRIMARY KEY, organization_id uuid NOT NULL"
        "  CONSTRAINT fk_workers_organizations REFERENCES organizations (id) ON DELETE CASCADE,"
        " project_id uuid NOT NULL, environment_id uuid NOT NULL, worker_queue_id uuid NOT NULL,"
        " credential_id uuid NOT NULL, joined_with text NOT NULL, name text NOT NULL, version text NOT NULL,"
        " python_version text NOT NULL, prefect_version text NOT NULL, platform text NOT NULL, hostname text NOT NULL,"
        " slots integer, running integer, free_slots integer, cpu_percent double precision, memory_bytes bigint,"
        " last_seen_at timestamptz NOT NULL, session_expires_at timestamptz NOT NULL, drain_requested_at timestamptz,"
        f" ended_at timestamptz, {_TIMES},"
        " CONSTRAINT uq_workers_organization_id_id UNIQUE (organization_id, id),"
        " CONSTRAINT fk_workers_environments FOREIGN KEY (organization_id, project_id, environment_id)"
        "  REFERENCES environments (organization_id, project_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_workers_worker_queues FOREIGN KEY (organization_id, worker_queue_id)"
        "  REFERENCES worker_queues (organization_id, id) ON DELETE CASCADE,"
        " CONSTRAINT fk_workers_credentials FOREIGN KEY (organization_id, credential_id)"
        "  REFERENCES credentials (organization_id, id) ON DELETE CASCADE)"
    )
    op.execute(
        "CREATE INDEX ix_workers_organization_id_created_at_id ON workers (organization_id, created_at DESC, id DESC)"
    )
    for column in ("environment_id", "worker_queue_id", "credential_id"):
        op.execute(f"CREATE INDEX ix_workers_organization_id_{column} ON workers (organization_id, {column})")
    protect("workers")
    keep_to_projects("workers", condition=in_projects("project_id"))
    let_system_read("workers", columns="id, organization_id, worker_queue_id, credential_id, drain_requested_at")


def _credentials() -> None:
    op.execute(
        "ALTER TABLE credentials ADD COLUMN worker_id uuid, ADD COLUMN redeemed_at timestamptz,"
        " DROP CONSTRAINT ck_credentials_kind, DROP CONSTRAINT ck_credentials_scope,"
        " ADD CONSTRAINT ck_credentials_kind CHECK"
        "  (kind IN ('api_key', 'worker_key', 'join_token', 'worker_session', 'execution_token')),"
        " ADD CONSTRAINT ck_credentials_scope CHECK"
        "  ((kind IN ('worker_key', 'join_token', 'worker_session')) = (environment_id IS NOT NULL)"
        "  AND (kind = 'execution_token') = (execution_id IS NOT NULL AND fence IS NOT NULL)"
        "  AND (worker_id IS NULL OR kind IN ('worker_session', 'execution_token'))"
        "  AND (redeemed_at IS NULL OR kind = 'join_token')),"
        # An execution outlives the queue of its worker; a session without its worker opens nothing.
        " ADD CONSTRAINT fk_credentials_workers FOREIGN KEY (organization_id, worker_id)"
        "  REFERENCES workers (organization_id, id) ON DELETE SET NULL (worker_id)"
    )
    op.execute(
        "CREATE INDEX ix_credentials_organization_id_worker_id ON credentials (organization_id, worker_id)"
        " WHERE worker_id IS NOT NULL"
    )
    let_system_read("credentials", columns="worker_id", again=True)


def _authenticate() -> None:
    # A session ends with what the worker joined with (k). What it runs goes on when that expires, as all things end in
    # time, and stops when it is revoked, which is said of what can't be trusted.
    system_function(
        "authenticate(presented bytea)",
        returns=(
            "TABLE (id uuid, organization_id uuid, kind text, name text, environment_id uuid, session_id uuid,"
            " worker_queue_id uuid, draining boolean, execution_id uuid, fence integer, model text, grants jsonb,"
            " use_unnoted boolean)"
        ),
        body=(
            "SELECT c.id, c.organization_id, CASE WHEN s.id IS NULL THEN c.kind ELSE 'service_account' END,"
            " coalesce(s.name, c.name), c.environment_id, CASE WHEN c.kind = 'worker_session' THEN w.id END,"
            " CASE WHEN c.kind = 'worker_session' THEN w.worker_queue_id END,"
            " c.kind = 'worker_session' AND w.drain_requested_at IS NOT NULL,"
            " c.execution_id, c.fence, CASE WHEN e.status = 'running' THEN e.plan -> 'model' ->> 'name' END,"
            " GRANTS,"
            " c.kind NOT IN ('worker_session', 'execution_token') AND (c.last_used_at IS NULL"
            "  OR c.last_used_at < clock_timestamp() - interval '1 minute')"
            " FROM credentials c"
            " LEFT JOIN executions e ON e.organization_id = c.organization_id AND e.id = c.execution_id"
            " LEFT JOIN service_accounts s ON s.organization_id = c.organization_id AND s.id = c.service_account_id"
            " LEFT JOIN workers w ON w.organization_id = c.organization_id AND w.id = c.worker_id"
            " LEFT JOIN credentials k ON k.organization_id = w.organization_id AND k.id = w.credential_id"
            " LEFT JOIN service_accounts t ON t.organization_id = k.organization_id AND t.id = k.service_account_id"
            " WHERE c.hash = presented AND c.revoked_at IS NULL AND s.disabled_at IS NULL"
            " AND (c.expires_at IS NULL OR c.expires_at > clock_timestamp())"
            " AND k.revoked_at IS NULL AND t.disabled_at IS NULL"
            " AND (c.kind <> 'worker_session' OR (k.id IS NOT NULL"
            "  AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())))"
        ).replace("GRANTS", _GRANTS),
    )


def downgrade() -> None:
    op.execute(f"GRANT CREATE ON SCHEMA public TO {SYSTEM_ROLE}")
    op.execute("DROP FUNCTION authenticate(bytea)")
    op.execute("ALTER TABLE credentials NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM credentials WHERE kind IN ('join_token', 'worker_session')")
    op.execute("ALTER TABLE credentials FORCE ROW LEVEL SECURITY")
    op.execute(
        "ALTER TABLE credentials DROP CONSTRAINT ck_credentials_kind, DROP CONSTRAINT ck_credentials_scope,"
        " DROP COLUMN worker_id, DROP COLUMN redeemed_at,"
        " ADD CONSTRAINT ck_credentials_kind CHECK (kind IN ('api_key', 'worker_key', 'execution_token')),"
        " ADD CONSTRAINT ck_credentials_scope CHECK ((kind = 'worker_key') = (environment_id IS NOT NULL)"
        "  AND (kind = 'execution_token') = (execution_id IS NOT NULL AND fence IS NOT NULL))"
    )
    op.execute("DROP TABLE workers")
    op.execute("ALTER TABLE worker_queues DROP COLUMN max_workers")
    op.execute("ALTER TABLE environments DROP COLUMN max_workers")
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
        ).replace("GRANTS", _GRANTS),
    )
    op.execute(f"REVOKE CREATE ON SCHEMA public FROM {SYSTEM_ROLE}")

"""What a credential may do: every route names exactly one of these."""

from enum import StrEnum


class Permission(StrEnum):
    """One thing a principal may do. The value is what people see when they lack it."""

    ORGANIZATIONS_CREATE = "organizations:create"
    ORGANIZATIONS_READ = "organizations:read"
    ORGANIZATIONS_WRITE = "organizations:write"
    ORGANIZATIONS_EXPORT = "organizations:export"
    ORGANIZATIONS_DELETE = "organizations:delete"
    ORGANIZATIONS_BOOTSTRAP = "organizations:bootstrap"
    API_KEYS_READ = "api_keys:read"
    API_KEYS_CREATE = "api_keys:create"
    API_KEYS_REVOKE = "api_keys:revoke"
    AUDIT_READ = "audit:read"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    ROLES_READ = "roles:read"
    ROLES_WRITE = "roles:write"
    SERVICE_ACCOUNTS_READ = "service_accounts:read"
    SERVICE_ACCOUNTS_WRITE = "service_accounts:write"
    WORKER_KEYS_READ = "worker_keys:read"
    WORKER_KEYS_CREATE = "worker_keys:create"
    WORKER_KEYS_REVOKE = "worker_keys:revoke"
    PROJECTS_READ = "projects:read"
    PROJECTS_WRITE = "projects:write"
    ENVIRONMENTS_READ = "environments:read"
    ENVIRONMENTS_WRITE = "environments:write"
    WORKER_QUEUES_READ = "worker_queues:read"
    WORKER_QUEUES_WRITE = "worker_queues:write"
    WORKERS_READ = "workers:read"
    WORKERS_WRITE = "workers:write"
    WORKERS_JOIN = "workers:join"
    AGENTS_READ = "agents:read"
    AGENTS_WRITE = "agents:write"
    MODEL_PROVIDERS_READ = "model_providers:read"
    MODEL_PROVIDERS_WRITE = "model_providers:write"
    POLICIES_READ = "policies:read"
    POLICIES_WRITE = "policies:write"
    POLICY_BINDINGS_READ = "policy_bindings:read"
    POLICY_BINDINGS_WRITE = "policy_bindings:write"
    BUDGETS_READ = "budgets:read"
    BUDGETS_WRITE = "budgets:write"
    BUDGETS_IMPOSE = "budgets:impose"
    USAGE_READ = "usage:read"
    TOOLSETS_READ = "toolsets:read"
    TOOLSET_CONFIGS_READ = "toolset_configs:read"
    TOOLSET_CONFIGS_WRITE = "toolset_configs:write"
    SECRETS_READ = "secrets:read"
    SECRETS_WRITE = "secrets:write"
    EXECUTIONS_READ = "executions:read"
    EXECUTIONS_START = "executions:start"
    EXECUTIONS_CANCEL = "executions:cancel"
    RUNS_READ = "runs:read"
    EXECUTIONS_CLAIM = "executions:claim"
    WORKER_REPORT = "worker:report"
    PREFECT_USE = "prefect:use"
    EXECUTION_REPORT = "execution:report"
    MODELS_CALL = "models:call"


OPERATOR = frozenset(
    {
        Permission.ORGANIZATIONS_CREATE,
        Permission.ORGANIZATIONS_READ,
        Permission.ORGANIZATIONS_DELETE,
        Permission.ORGANIZATIONS_BOOTSTRAP,
        Permission.BUDGETS_IMPOSE,
    }
)
"""The person who runs the installation: makes organizations, lets their first owner in, limits what they may use,
deletes them, and sees nothing else."""

WORKER_KEY = frozenset({Permission.WORKERS_JOIN})
"""What a worker is started with, a worker key or a join token: it opens a session and keeps it alive."""

WORKER_SESSION = frozenset({Permission.EXECUTIONS_CLAIM, Permission.WORKER_REPORT, Permission.PREFECT_USE})
"""A worker that has joined, until it claims an execution."""

EXECUTION = frozenset({Permission.EXECUTION_REPORT, Permission.MODELS_CALL, Permission.PREFECT_USE})
"""The process that carries out one execution."""

MEMBER = (
    frozenset(Permission)
    - WORKER_SESSION
    - EXECUTION
    - {Permission.ORGANIZATIONS_CREATE, Permission.ORGANIZATIONS_BOOTSTRAP, Permission.BUDGETS_IMPOSE}
)
"""Everything a role may hold, for members, service accounts and API keys."""

IN_PROJECTS = frozenset(
    {
        Permission.ORGANIZATIONS_READ,
        Permission.WORKER_KEYS_READ,
        Permission.WORKER_KEYS_CREATE,
        Permission.WORKER_KEYS_REVOKE,
        Permission.PROJECTS_READ,
        Permission.PROJECTS_WRITE,
        Permission.ENVIRONMENTS_READ,
        Permission.ENVIRONMENTS_WRITE,
        Permission.WORKER_QUEUES_READ,
        Permission.WORKER_QUEUES_WRITE,
        Permission.WORKERS_READ,
        Permission.WORKERS_WRITE,
        Permission.WORKERS_JOIN,
        Permission.AGENTS_READ,
        Permission.AGENTS_WRITE,
        Permission.POLICIES_READ,
        Permission.POLICY_BINDINGS_READ,
        Permission.BUDGETS_READ,
        Permission.USAGE_READ,
        Permission.TOOLSETS_READ,
        Permission.TOOLSET_CONFIGS_READ,
        Permission.SECRETS_READ,
        Permission.SECRETS_WRITE,
        Permission.EXECUTIONS_READ,
        Permission.EXECUTIONS_START,
        Permission.EXECUTIONS_CANCEL,
        Permission.RUNS_READ,
    }
)
"""What a role gives when it is granted on one project. All else needs a role in the whole organization."""

"""What a credential may do: every route names exactly one of these."""

from enum import StrEnum


class Permission(StrEnum):
    """One thing a principal may do. The value is what people see when they lack it."""

    ORGANIZATIONS_CREATE = "organizations:create"
    ORGANIZATIONS_READ = "organizations:read"
    API_KEYS_CREATE = "api_keys:create"
    WORKER_KEYS_CREATE = "worker_keys:create"
    PROJECTS_READ = "projects:read"
    PROJECTS_WRITE = "projects:write"
    ENVIRONMENTS_READ = "environments:read"
    ENVIRONMENTS_WRITE = "environments:write"
    AGENTS_READ = "agents:read"
    AGENTS_WRITE = "agents:write"
    POLICIES_READ = "policies:read"
    POLICIES_WRITE = "policies:write"
    EXECUTIONS_READ = "executions:read"
    EXECUTIONS_START = "executions:start"
    EXECUTIONS_CANCEL = "executions:cancel"
    EXECUTIONS_CLAIM = "executions:claim"
    EXECUTION_REPORT = "execution:report"
    MODELS_CALL = "models:call"


OPERATOR = frozenset({Permission.ORGANIZATIONS_CREATE, Permission.ORGANIZATIONS_READ, Permission.API_KEYS_CREATE})
"""The person who runs the installation: makes organizations and lets their first people in, and sees nothing else."""

WORKER = frozenset({Permission.EXECUTIONS_CLAIM})
"""A worker of one environment, until it claims an execution."""

EXECUTION = frozenset({Permission.EXECUTION_REPORT, Permission.MODELS_CALL})
"""The process that carries out one execution."""

MEMBER = frozenset(Permission) - WORKER - EXECUTION - {Permission.ORGANIZATIONS_CREATE}
"""An API key of an organization."""

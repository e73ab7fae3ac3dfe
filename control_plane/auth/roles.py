"""The built-in roles. docs/roles.md shows them as a table; a test keeps the two equal."""

from dataclasses import dataclass

from control_plane.auth.permissions import MEMBER, Permission


@dataclass(frozen=True, slots=True)
class BuiltInRole:
    """A role that every organization has and nobody can change."""

    name: str
    description: str
    permissions: frozenset[Permission]


OWNER = "owner"
"""The one role that only its holders can give, change and take away."""

_READ = frozenset(permission for permission in MEMBER if permission.endswith(":read"))

_IDENTITY = frozenset(
    permission
    for permission in MEMBER
    if permission.split(":")[0] in {"api_keys", "members", "roles", "service_accounts", "audit", "audit_log"}
)
"""Who may do what, and who did."""

_VIEWER = _READ - _IDENTITY

_ADMIN = MEMBER - {Permission.ORGANIZATIONS_DELETE}

_OPERATOR = _VIEWER | {
    permission
    for permission in MEMBER
    if permission.split(":")[0] in {"environments", "executions", "worker_keys", "worker_queues", "workers"}
}

_DEVELOPER = _VIEWER | {
    Permission.AGENTS_WRITE,
    Permission.EXECUTIONS_START,
    Permission.EXECUTIONS_CANCEL,
}

BUILT_IN = {
    role.name: role
    for role in (
        BuiltInRole(OWNER, "Everything, and who else is an owner.", MEMBER),
        BuiltInRole("admin", "Everything, but deletes no organization and touches no owner.", _ADMIN),
        BuiltInRole("operator", "Keeps environments, workers and executions going.", _OPERATOR),
        BuiltInRole("developer", "Describes agents and runs them.", _DEVELOPER),
        BuiltInRole("viewer", "Looks at everything that agents do, and changes nothing.", _VIEWER),
        BuiltInRole("auditor", "As viewer, and sees who may do what and who did.", _READ),
    )
}
"""By name, from the most powerful."""

"""Who is asking: the verified holder of a credential."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from control_plane.auth.permissions import (
    EXECUTION,
    IN_PROJECTS,
    MEMBER,
    OPERATOR,
    WORKER_KEY,
    WORKER_SESSION,
    Permission,
)
from control_plane.auth.roles import BUILT_IN, OWNER
from control_plane.problems import Forbidden


class Kind(StrEnum):
    """The kinds of principals, most of which are also kinds of credentials."""

    OPERATOR = "operator"
    MEMBER = "member"
    SERVICE_ACCOUNT = "service_account"
    API_KEY = "api_key"
    WORKER_KEY = "worker_key"
    JOIN_TOKEN = "join_token"  # noqa: S105 - the name of a kind
    WORKER_SESSION = "worker_session"
    EXECUTION_TOKEN = "execution_token"  # noqa: S105 - the name of a kind


_FIXED = {
    Kind.OPERATOR: OPERATOR,
    Kind.WORKER_KEY: WORKER_KEY,
    Kind.JOIN_TOKEN: WORKER_KEY,
    Kind.WORKER_SESSION: WORKER_SESSION,
    Kind.EXECUTION_TOKEN: EXECUTION,
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A role that somebody has, in the whole organization or, with `project_id`, in one project."""

    role: str
    permissions: frozenset[Permission]
    project_id: UUID | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """A grant as the database's functions give it: `role`, `permissions` of a custom role or null, `project_id`."""
        custom = stored["permissions"]
        held = BUILT_IN[stored["role"]].permissions if custom is None else MEMBER.intersection(custom)
        project_id = stored["project_id"]
        return cls(stored["role"], held, UUID(project_id)) if project_id else cls(stored["role"], held)

    @property
    def effective(self) -> frozenset[Permission]:
        """What the role gives where it is granted."""
        return self.permissions if self.project_id is None else self.permissions & IN_PROJECTS


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a credential. Everything in it comes from the credential, nothing from the request.

    `grants` are the roles of members, service accounts and API keys; the other kinds have fixed permissions.
    `environment_id` is set for worker keys, join tokens and worker sessions; `session_id`, `worker_queue_id` and
    `draining` for worker sessions; `execution_id`, `fence` and `model` for execution tokens. The operator has no
    organization.
    """

    kind: Kind
    name: str
    organization_id: UUID | None = None
    credential_id: UUID | None = None
    member_id: UUID | None = None
    environment_id: UUID | None = None
    session_id: UUID | None = None
    worker_queue_id: UUID | None = None
    draining: bool = False
    execution_id: UUID | None = None
    fence: int | None = None
    model: str | None = None
    grants: tuple[Grant, ...] = ()

    @property
    def permissions(self) -> frozenset[Permission]:
        """What this principal may do somewhere within its organization."""
        return _FIXED.get(self.kind) or _joined(self.grants)

    @property
    def owner(self) -> bool:
        """Whether this principal is an owner of its organization."""
        return any(grant.role == OWNER and grant.project_id is None for grant in self.grants)

    def permissions_in(self, project_id: UUID | None) -> frozenset[Permission]:
        """What this principal may do in one project, or (None) in the whole organization."""
        return _FIXED.get(self.kind) or _joined(
            grant for grant in self.grants if grant.project_id is None or grant.project_id == project_id
        )

    def projects_with(self, permission: Permission) -> frozenset[UUID] | None:
        """The projects in which this principal may do something; None if in all. Raises `Forbidden` if in none."""
        fixed = _FIXED.get(self.kind)
        if fixed and permission in fixed:
            return None
        granting = [grant.project_id for grant in self.grants if permission in grant.effective]
        if None in granting:
            return None
        if not granting:
            raise Forbidden(
                f"This needs the permission {permission}, which a credential of kind {self.kind} lacks."
                if fixed
                else f"This needs the permission {permission}, which no role of {self.label} gives."
            )
        return frozenset(project_id for project_id in granting if project_id is not None)

    @property
    def tenant(self) -> UUID:
        """The organization. Raises `Forbidden` for the operator, who has none."""
        if self.organization_id is None:
            raise Forbidden("The operator key works on no organization. Use an API key of the organization.")
        return self.organization_id

    @property
    def label(self) -> str:
        """How the principal is named in records: `api_key:ci`."""
        return f"{self.kind}:{self.name}"


def _joined(grants: Iterable[Grant]) -> frozenset[Permission]:
    return frozenset[Permission]().union(*(grant.effective for grant in grants))


@dataclass(frozen=True, slots=True)
class WorkerPrincipal:
    """The session of a worker: it opens one environment of one organization. `name` is the worker's.

    `draining` asks the worker to take nothing new.
    """

    organization_id: UUID
    environment_id: UUID
    worker_queue_id: UUID
    session_id: UUID
    name: str
    draining: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionPrincipal:
    """An execution token: it opens one claim of one execution.

    `model` is the only model it may call: empty once the execution is no longer running.
    """

    organization_id: UUID
    execution_id: UUID
    fence: int
    model: str

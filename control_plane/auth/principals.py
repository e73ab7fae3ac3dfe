"""Who is asking: the verified holder of a credential."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from control_plane.auth.permissions import EXECUTION, MEMBER, OPERATOR, WORKER, Permission
from control_plane.problems import Forbidden


class Kind(StrEnum):
    """The kinds of credentials."""

    OPERATOR = "operator"
    API_KEY = "api_key"
    WORKER_KEY = "worker_key"
    EXECUTION_TOKEN = "execution_token"  # noqa: S105 - the name of a kind


_PERMISSIONS = {
    Kind.OPERATOR: OPERATOR,
    Kind.API_KEY: MEMBER,
    Kind.WORKER_KEY: WORKER,
    Kind.EXECUTION_TOKEN: EXECUTION,
}


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a credential. Everything in it comes from the credential, nothing from the request.

    `environment_id` is set for worker keys; `execution_id`, `fence` and `model` for execution tokens. The operator has
    no organization.
    """

    kind: Kind
    name: str
    organization_id: UUID | None = None
    credential_id: UUID | None = None
    environment_id: UUID | None = None
    execution_id: UUID | None = None
    fence: int | None = None
    model: str | None = None

    @property
    def permissions(self) -> frozenset[Permission]:
        """What this principal may do within its organization."""
        return _PERMISSIONS[self.kind]

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


@dataclass(frozen=True, slots=True)
class WorkerPrincipal:
    """A worker key: it opens one environment of one organization."""

    organization_id: UUID
    environment_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class ExecutionPrincipal:
    """An execution token: it opens one claim of one execution.

    `model` is the only model it may call: empty once the execution is no longer running.
    """

    organization_id: UUID
    execution_id: UUID
    fence: int
    model: str

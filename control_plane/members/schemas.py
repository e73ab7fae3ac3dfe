"""REST bodies of members."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from control_plane.auth.oidc import MOST_CHARACTERS, SUBJECT
from control_plane.contract import ABSENT, Body, Fixed, Name, Patch, Read, Text, example
from control_plane.roles.schemas import Grants, RoleGranted

Email = Annotated[Text, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$", max_length=MOST_CHARACTERS)]
Issuer = Annotated[Text, StringConstraints(min_length=1, max_length=500)]
Subject = Annotated[Text, StringConstraints(pattern=SUBJECT, max_length=MOST_CHARACTERS)]


class MemberCreate(Body):
    """A new member: named by issuer and subject, or invited by the e-mail address that their provider will verify."""

    model_config = example(name="Ada Lovelace", email="ada@example.com", grants=[{"role": "developer"}])

    name: Name
    issuer: Issuer | None = Field(
        default=None, description="The `iss` of their tokens, to the letter.", examples=["https://login.example.com"]
    )
    subject: Subject | None = Field(default=None, description="The `sub` of their tokens: printable ASCII characters.")
    email: Email | None = Field(
        default=None, description="Without issuer and subject: whoever first signs in with it, verified, is the member."
    )
    grants: Grants = Field(min_length=1)

    @model_validator(mode="after")
    def _identified(self) -> Self:
        if (self.issuer is None) != (self.subject is None):
            raise ValueError("issuer and subject belong together")
        if self.subject is None and self.email is None:
            raise ValueError("needs issuer and subject, or an email")
        return self


class MemberPatch(Patch):
    """Changes of a member. `grants` replaces all of their roles."""

    name: Name = ABSENT
    grants: Grants = Field(default=ABSENT, min_length=1)
    issuer: Fixed = None
    subject: Fixed = None
    email: Fixed = None


class MemberRead(Read):
    """A member. `invited` until they sign in for the first time."""

    organization_id: UUID
    name: str
    issuer: str | None = Field(description="Null until they have signed in, if they were invited.")
    subject: str | None = Field(description="Null as long as the issuer is.")
    email: str | None = Field(description="As it was given here; sign-ins don't change it.")
    grants: list[RoleGranted]
    status: Literal["invited", "active"]

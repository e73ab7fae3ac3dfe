"""Whom a sign-in token stands for: the person's membership in the organization they name, or in their only one."""

from collections.abc import Sequence
from types import SimpleNamespace
from uuid import UUID

import pytest

from control_plane.auth import oidc_sign_in
from control_plane.auth.oidc import Identity, Tokens
from control_plane.auth.oidc_sign_in import Membership, SignIn
from control_plane.auth.principals import Kind, Principal
from control_plane.problems import Forbidden, Unauthenticated
from tests.control_plane.auth.provider import STRANGER, Provider

pytestmark = pytest.mark.integration


def member_of(slug: str, number: int) -> Membership:
    organization_id = UUID(int=number)
    principal = Principal(kind=Kind.MEMBER, name="Ada", organization_id=organization_id)
    return Membership(str(organization_id), slug, principal)


ACME, GLOBEX = member_of("acme", 1), member_of("globex", 2)


class FakeDirectory:
    """The directory's port. `asked` is what it was asked, in order."""

    def __init__(self, *memberships: Membership) -> None:
        self.answer: Sequence[Membership] = memberships
        self.asked: list[Identity] = []

    async def memberships(self, identity: Identity) -> Sequence[Membership]:
        self.asked.append(identity)
        return self.answer


async def test_the_directory_is_asked_about_whom_the_provider_vouches_for(tokens: Tokens, provider: Provider) -> None:
    directory = FakeDirectory(ACME)
    token = provider.token(email="ada@example.com", email_verified=True)

    await SignIn(tokens, directory).recognise(token, organization=None)

    assert directory.asked == [Identity(provider.url, "ada", "ada@example.com")]


@pytest.mark.parametrize("named", [None, "acme", str(UUID(int=1))])
async def test_a_member_of_one_organization_need_not_name_it(
    tokens: Tokens, provider: Provider, named: str | None
) -> None:
    principal = await SignIn(tokens, FakeDirectory(ACME)).recognise(provider.token(), organization=named)

    assert principal == ACME.principal


@pytest.mark.parametrize(
    ("named", "expected"),
    [("acme", ACME), ("globex", GLOBEX), (str(UUID(int=2)), GLOBEX), (str(UUID(int=2)).upper(), GLOBEX)],
)
async def test_a_member_of_several_is_who_they_are_in_the_one_they_name(
    tokens: Tokens, provider: Provider, named: str, expected: Membership
) -> None:
    sign_in, token = SignIn(tokens, FakeDirectory(ACME, GLOBEX)), provider.token()
    await sign_in.recognise(token, organization="acme")

    principal = await sign_in.recognise(token, organization=named)

    assert principal == expected.principal


async def test_a_member_of_several_is_told_to_name_one(tokens: Tokens, provider: Provider) -> None:
    with pytest.raises(Forbidden, match=r"several organizations: acme, globex\. Name one in the header X-Organization"):
        await SignIn(tokens, FakeDirectory(GLOBEX, ACME)).recognise(provider.token(), organization=None)


@pytest.mark.parametrize("named", ["globex", "unheardof", str(UUID(int=2)), "", "acme "])
async def test_an_organization_of_others_is_answered_like_one_that_does_not_exist(
    tokens: Tokens, provider: Provider, named: str
) -> None:
    with pytest.raises(Forbidden) as caught:
        await SignIn(tokens, FakeDirectory(ACME)).recognise(provider.token(), organization=named)

    assert caught.value.detail == "X-Organization names no organization that you are a member of. Yours: acme."


async def test_whoever_is_signed_in_but_no_member_is_told_so(tokens: Tokens, provider: Provider) -> None:
    with pytest.raises(Forbidden, match="signed in but no member of any organization"):
        await SignIn(tokens, FakeDirectory()).recognise(provider.token(), organization="acme")


async def test_nobody_is_looked_up_for_a_token_that_is_refused(tokens: Tokens, provider: Provider) -> None:
    directory = FakeDirectory(ACME)

    with pytest.raises(Unauthenticated):
        await SignIn(tokens, directory).recognise(provider.token(STRANGER), organization=None)

    assert directory.asked == []


async def test_who_is_removed_is_out_within_five_seconds(
    tokens: Tokens, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = FakeDirectory(ACME)
    sign_in, token = SignIn(tokens, directory), provider.token()
    seconds = 0.0
    monkeypatch.setattr(oidc_sign_in, "time", SimpleNamespace(monotonic=lambda: seconds))
    await sign_in.recognise(token, organization=None)
    await sign_in.recognise(token, organization=None)
    directory.answer = []
    asked_meanwhile = len(directory.asked)
    seconds = 5.0

    with pytest.raises(Forbidden):
        await sign_in.recognise(token, organization=None)

    assert asked_meanwhile == 1


async def test_no_more_answers_are_remembered_than_fit(
    tokens: Tokens, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc_sign_in, "_MOST_REMEMBERED", 2)
    sign_in = SignIn(tokens, FakeDirectory(ACME))

    found = [await sign_in.recognise(provider.token(sub=f"person {number}"), organization=None) for number in range(5)]

    assert len(found) == 5
    assert len(sign_in._known) == 2

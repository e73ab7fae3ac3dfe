"""What a tenant can have: several of each thing, and a word that only this tenant knows in every text of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from tests.tenants import JOINING, Tenant
from tests.worker import message

SEVERAL = 3
RUNNING, PENDING = 1, 2
"""Which of the executions is claimed, and which waits to be; the first has ended, the last is a spare one."""
CLAIMING = 1
"""Which worker key and session carry executions out; the first may be revoked, the last goes with its key."""


class Said(NamedTuple):
    """One request that created something."""

    path: str
    body: dict[str, Any]
    key: str


@dataclass(frozen=True, slots=True)
class Place:
    """What somebody has in an organization and one project. `values` by what `addressed` calls them; of each thing
    the first has everything below it and the last has nothing, so that it can be deleted.

    Every text holds the `marker`. `said` are the requests that created it all, `keys` the secrets of credentials by
    whose they are, and `etags` the entity tags by id.
    """

    marker: str
    values: Mapping[str, Sequence[str]]
    said: Sequence[Said] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    etags: Mapping[str, str] = field(default_factory=dict)

    def joined(self, project: "Place") -> "Place":
        """An organization together with one of its projects."""
        return Place(
            project.marker,
            {**self.values, **project.values},
            [*self.said, *project.said],
            {**self.keys, **project.keys},
            {**self.etags, **project.etags},
        )


@dataclass(slots=True)
class _Owner:
    """Somebody who makes things and notes how."""

    http: httpx.AsyncClient
    marker: str
    values: dict[str, list[str]] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)

    async def make(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        said = Said(path, body, f"{self.marker}-{path.strip('/').replace('/', '-')[-60:]}-{len(self.said)}")
        response = await self.http.post(
            path, json=body, headers={"Idempotency-Key": said.key, "X-Request-Id": f"{self.marker}-request"}
        )
        assert response.status_code == 201, (path, body, response.text)
        self.said.append(said)
        answer: dict[str, Any] = response.json()
        self.note_tag(response)
        return answer

    def note_tag(self, response: httpx.Response) -> None:
        if tag := response.headers.get("ETag"):
            self.etags[response.json()["id"]] = tag

    def note(self, **values: str) -> None:
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)

    async def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        response = await self.http.request(method, path, json=body, headers=headers)
        response.raise_for_status()
        self.note_tag(response)
        return response.json() if response.content else None

    def module(self, number: int) -> str:
        return f'# {self.marker}\npackage {self.marker}_{number}\n\nimport rego.v1\n\ndeny contains "no" if false\n'

    def place(self) -> Place:
        return Place(self.marker, self.values, self.said, self.keys, self.etags)


async def belongings(tenant: Tenant) -> Place:
    """Give a tenant several of each thing that it can have."""
    issuer = "https://login.example.com"
    whole = await furnish_organization(tenant.client, tenant.organization, marker="own", issuer=issuer)
    return whole.joined(await furnish_project(tenant.client, whole, marker="own"))


async def furnish_organization(
    http: httpx.AsyncClient, organization: dict[str, Any], *, marker: str, issuer: str
) -> Place:
    """What belongs to an organization as a whole. `issuer` knows its members, who are owners, by their names."""
    owner = _Owner(http, marker)
    path = f"/organizations/{organization['id']}"
    owner.note(organization_id=organization["id"], organization_slug=organization["slug"])
    owner.note(actor=f"api_key:{marker} owner")
    for number in range(SEVERAL):
        word = f"{marker}-{number}"
        role = {"name": word, "description": word, "permissions": ["agents:read", "agents:write"]}
        owner.note(role_id=(await owner.make(f"{path}/roles", role))["id"], role_name=word)
        known = {"issuer": issuer, "subject": word, "email": f"{word}@example.com"}
        member = {"name": word, "grants": [{"role": "owner"}]} | known
        owner.note(
            member_id=(await owner.make(f"{path}/members", member))["id"], member_name=word, member_email=known["email"]
        )
        account = await owner.make(
            f"{path}/service-accounts", {"name": word, "description": word, "grants": [{"role": "admin"}]}
        )
        owner.note(service_account_id=account["id"], service_account_name=word)
        key = await owner.make(f"{path}/api-keys", {"name": word, "service_account_id": account["id"]})
        owner.note(api_key_id=key["id"], api_key_name=word)
        owner.keys[f"service account {number}"] = key["key"]
        await _add_policy(owner, number)
        await _find_models(owner, number)
    return owner.place()


async def furnish_project(http: httpx.AsyncClient, within: Place, *, marker: str, model: str = "") -> Place:
    """What belongs to a project `within` an organization. Without a `model` its agents name one that there isn't."""
    owner = _Owner(http, marker)
    model = model or f"{marker}-model"
    owner.note(version="2", model=f"scripted/{model}")
    for number in range(SEVERAL):
        word = f"{marker}-{number}"
        project = await owner.make("/projects", {"name": word, "slug": word})
        owner.note(project_id=project["id"], project_slug=word)
    for number in range(SEVERAL):
        word = f"{marker}-{number}"
        body = {"name": word, "slug": word, "project_id": owner.values["project_id"][0]}
        environment = await owner.make("/environments", body)
        owner.note(environment_id=environment["id"], environment_slug=word, work_pool=environment["work_pool"])
    for number in range(SEVERAL):
        await _fill_environment(owner, number, policy=within.values["policy_name"][0], model=model)
    await _bind_policy(owner, within.values["policy_name"][0])
    await _team_up(owner)
    await _limit(owner)
    await _execute(owner)
    await _use_model(owner)
    return owner.place()


async def _add_policy(owner: _Owner, number: int) -> None:
    name = f"{owner.marker}_{number}"
    body = {"name": name, "description": owner.marker, "module": owner.module(number)}
    policy = await owner.make("/policies", body)
    await owner.ask("PATCH", f"/policies/{policy['id']}", {"module": body["module"] + "# changed\n"})
    owner.note(policy_id=policy["id"], policy_name=name)
    if number > 0:
        owner.note(other_policy=name)


async def _find_models(owner: _Owner, number: int) -> None:
    word = f"{owner.marker}-{number}"
    provider = {"name": word, "kind": "openai_compatible", "base_url": f"https://{word}.example.com/v1"}
    owner.note(provider_id=(await owner.make("/model-providers", provider))["id"], provider_name=word)
    alias = {"name": word, "models": [f"{word}/model"]}
    owner.note(alias_id=(await owner.make("/model-aliases", alias))["id"], alias_name=word)


async def _fill_environment(owner: _Owner, number: int, *, policy: str, model: str) -> None:
    word, environment_id = f"{owner.marker}-{number}", owner.values["environment_id"][0]
    below = f"/environments/{environment_id}"
    queue = await owner.make(f"{below}/worker-queues", {"name": word, "description": word})
    key = await owner.make(f"{below}/worker-keys", {"name": word})
    owner.note(queue_id=queue["id"], queue_name=word, worker_key_id=key["id"])
    owner.keys[f"worker {number}"] = key["key"]
    await _join(owner, number)
    await owner.make("/secrets", {"name": word, "value": f"{word} value", "environment_id": environment_id})
    agent = await owner.make(
        "/agents",
        {
            "name": word,
            "description": word,
            "environment_id": environment_id,
            "llm_config": {"provider": "scripted", "model": model},
            "toolsets": ["agent", f"{owner.marker}_0"],
            "policies": [policy],
        },
    )
    await owner.ask("PATCH", f"/agents/{agent['id']}", {"instructions": word})
    owner.note(name=word, agent_id=agent["id"], agent_name=word)
    if number > 0:
        owner.note(other_agent_id=agent["id"])
    await _configure(owner, f"{owner.marker}_{number}", environment_id=environment_id, secret=word)


async def _configure(owner: _Owner, toolset: str, *, environment_id: str, secret: str) -> None:
    body = {"toolset": toolset, "environment_id": environment_id, "settings": {"word": owner.marker}}
    config = await owner.make("/toolset-configs", body | {"secrets": {"key": secret}})
    owner.note(config_id=config["id"], toolset_name=toolset)


async def _join(owner: _Owner, number: int) -> None:
    """One worker with a worker key, another with the owner's own: only what it began with renews a session."""
    word, environment_id = f"{owner.marker}-{number}", owner.values["environment_id"][0]
    start = f"/worker-queues/{owner.values['queue_id'][0]}/start"
    request = JOINING | {"name": word, "hostname": word}
    with_key = await owner.ask("POST", start, request, key=owner.keys[f"worker {number}"])
    owner.note(worker_id=with_key["session_id"])
    owner.keys[f"session {number}"] = with_key["session_token"]
    as_owner = await owner.make(start, request)
    owner.note(session_id=as_owner["session_id"])
    owner.keys[f"session of the owner {number}"] = as_owner["session_token"]
    join_token = await owner.make(f"/environments/{environment_id}/join-tokens", {"name": word})
    owner.note(join_token_id=join_token["id"])
    owner.keys[f"join token {number}"] = join_token["token"]


async def _bind_policy(owner: _Owner, policy: str) -> None:
    for scope in ("agent", "environment", "project"):
        bound = {"policy": policy, "scope": scope, f"{scope}_id": owner.values[f"{scope}_id"][0]}
        owner.note(binding_id=(await owner.make("/policy-bindings", bound))["id"])


async def _team_up(owner: _Owner) -> None:
    leader, *members = owner.values["agent_id"]
    for number in range(SEVERAL):
        word = f"{owner.marker}-{number}"
        team = {
            "name": word,
            "description": word,
            "instructions": word,
            "environment_id": owner.values["environment_id"][0],
            "leader_agent_id": leader,
            "members": [{"agent_id": member, "role": word} for member in members],
        }
        owner.note(team_id=(await owner.make("/teams", team))["id"], team_name=word)
    await owner.make(f"/teams/{owner.values['team_id'][0]}/execute", {"prompt": owner.marker})


async def _ask_others(owner: _Owner) -> None:
    """What the running execution has started."""
    parent = owner.values["execution_id"][RUNNING]
    owner.note(parent_id=parent)
    for number in range(SEVERAL):
        body = {"fence": 1, "key": str(number), "agent": owner.values["other_agent_id"][0], "message": owner.marker}
        path, token = f"/worker/executions/{parent}/children", owner.keys["execution"]
        owner.note(child_id=(await owner.ask("POST", path, body, key=token))["execution_id"])


async def _limit(owner: _Owner) -> None:
    """Budgets that have room. A place has one of each period, so those of the other organization are for days."""
    period = "day" if owner.marker.startswith("globex") else "month"
    for place in ("agent_id", "project_id"):
        for identity in owner.values[place]:
            limit = {"scope": place.removesuffix("_id"), place: identity, "period": period, "tokens": 1_000_000_000}
            owner.note(budget_id=(await owner.make("/budgets", limit))["id"])


async def _use_model(owner: _Owner) -> None:
    """A call that is on record, also where there is no such model."""
    asked = {"model": owner.values["model"][0], "messages": [{"role": "user", "content": '[{"say": "used"}]'}]}
    token = owner.keys["execution"]
    answer = await owner.http.post(
        "/llm/openai/v1/chat/completions", json=asked, headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code in {200, 404}, answer.text


async def _execute(owner: _Owner) -> None:
    for _ in range(SEVERAL + 1):
        asked = {"message": owner.marker, "context": {owner.marker: owner.marker}}
        body = {"agent_id": owner.values["agent_id"][0], "input": asked, "budget": {"tokens": 1_000_000_000}}
        owner.note(execution_id=(await owner.make("/executions", body))["id"])
    ended, running, *_ = owner.values["execution_id"]
    owner.keys["ended execution"] = await _report(owner, ended)
    owner.keys["execution"] = await _report(owner, running)
    await _ask_others(owner)
    finish = {"fence": 1, "status": "completed", "response": owner.marker}
    await owner.ask("POST", f"/worker/executions/{ended}/finish", finish, key=owner.keys["ended execution"])


async def _report(owner: _Owner, execution_id: str) -> str:
    path, session = f"/worker/executions/{execution_id}", owner.keys[f"session {CLAIMING}"]
    claim = await owner.ask("POST", f"{path}/claim", {"worker": owner.marker}, key=session)
    token: str = claim["execution_token"]
    await owner.ask("POST", f"{path}/events", {"fence": 1, "events": [message(1, owner.marker)]}, key=token)
    for number in range(SEVERAL):
        query = f"fence=1&key={number}&name={owner.marker}&media_type=text/plain"
        kept = await owner.ask("POST", f"{path}/artifacts?{query}", {"found": owner.marker}, key=token)
        owner.note(artifact_id=kept["id"])
    return token

"""All routes and all tables in one place."""

from collections.abc import Callable
from functools import cache

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute

from control_plane.agent_tools.router import router as agent_tools
from control_plane.agents.router import router as agents
from control_plane.api_keys.router import router as api_keys
from control_plane.artifacts.router import router as artifacts
from control_plane.artifacts.worker_router import router as kept_artifacts
from control_plane.audit.router import router as audit
from control_plane.budgets.router import operator_router as imposed_budgets
from control_plane.budgets.router import router as budgets
from control_plane.db import Base
from control_plane.environments.router import router as environments
from control_plane.executions.agent_router import router as agent_executions
from control_plane.executions.child_router import router as children
from control_plane.executions.router import router as executions
from control_plane.executions.secret_router import router as secret_release
from control_plane.executions.wake_router import router as wake
from control_plane.executions.worker_router import router as worker
from control_plane.installed_toolsets.router import router as toolsets
from control_plane.llm.anthropic_router import router as anthropic
from control_plane.llm.router import router as llm
from control_plane.members.router import router as members
from control_plane.model_providers.router import aliases_router as model_aliases
from control_plane.model_providers.router import models_router as models
from control_plane.model_providers.router import providers_router as model_providers
from control_plane.organizations.router import router as organizations
from control_plane.parameters import only_known
from control_plane.policies.router import router as policies
from control_plane.policy_bindings.router import policies_router as policy_removal
from control_plane.policy_bindings.router import router as policy_bindings
from control_plane.prefect_gateway.router import router as prefect
from control_plane.problems import (
    BodyTooLarge,
    Forbidden,
    Invalid,
    MalformedJson,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    problems,
)
from control_plane.projects.router import router as projects
from control_plane.roles.router import router as roles
from control_plane.secrets.router import router as secrets
from control_plane.service_accounts.router import router as service_accounts
from control_plane.teams.router import router as teams
from control_plane.toolset_configs.router import router as toolset_configs
from control_plane.usage.router import router as usage
from control_plane.worker_queues.router import router as worker_queues
from control_plane.workers.router import router as workers
from control_plane.workers.sessions_router import joining_router as joining
from control_plane.workers.sessions_router import router as worker_sessions

metadata = Base.metadata
"""Every table, since importing the routers above has imported every model."""

PREFIX = "/api/v1"

_PROBLEMS = problems(MalformedJson, Unauthenticated, Forbidden, BodyTooLarge, Invalid, TooManyRequests, Unavailable)

_DIALECTS = (prefect, llm, anthropic)
"""What speaks the languages of others: with their errors, and whatever parameters their clients send."""

_SUBJECTS = (
    executions,
    worker,
    wake,
    secret_release,
    kept_artifacts,
    artifacts,
    agent_executions,
    children,
    agents,
    teams,
    agent_tools,
    environments,
    worker_queues,
    workers,
    joining,
    worker_sessions,
    projects,
    policies,
    policy_bindings,
    policy_removal,
    toolsets,
    toolset_configs,
    secrets,
    models,
    model_providers,
    model_aliases,
    budgets,
    imposed_budgets,
    usage,
    organizations,
    roles,
    members,
    service_accounts,
    api_keys,
    audit,
)


def install(app: FastAPI) -> None:
    """Give `app` every route below `/api/v1`."""
    app.router.routes.extend(_routes(app.router.generate_unique_id_function).routes)


@cache
def _routes(operation_id: Callable[[APIRoute], str]) -> APIRouter:
    """All of them. What FastAPI works out about each takes a tenth of a second, so the apps of a process share them.

    FastAPI goes through the routers one by one for each request, and through those in them again, so there are none in
    others, and what is called most comes first: workers ask Prefect far more often than anybody asks for anything else.
    """
    routes = APIRouter(generate_unique_id_function=operation_id)
    for dialect in _DIALECTS:
        routes.include_router(dialect, prefix=PREFIX)
    for subject in _SUBJECTS:
        routes.include_router(subject, prefix=PREFIX, dependencies=[Depends(only_known)], responses=_PROBLEMS)
    return routes

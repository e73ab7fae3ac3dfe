"""All routes and all tables in one place."""

from fastapi import APIRouter

from control_plane.agents.router import router as agents
from control_plane.db import Base
from control_plane.environments.router import router as environments
from control_plane.executions.router import router as executions
from control_plane.executions.worker_router import router as worker
from control_plane.llm.router import router as llm
from control_plane.organizations.router import router as organizations
from control_plane.policy_bindings.router import router as policies
from control_plane.problems import BodyTooLarge, Forbidden, Invalid, Unauthenticated, Unavailable, problems
from control_plane.projects.router import router as projects

metadata = Base.metadata
"""Every table, since importing the routers above has imported every model."""

router = APIRouter(prefix="/api/v1", responses=problems(Unauthenticated, Forbidden, BodyTooLarge, Invalid, Unavailable))
for subject in (organizations, projects, environments, agents, policies, executions, worker, llm):
    router.include_router(subject)

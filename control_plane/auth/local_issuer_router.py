"""What the local issuer publishes, for whoever verifies its tokens."""

from typing import Any

from fastapi import APIRouter, Request

from control_plane.auth.local_issuer import LocalIssuer
from control_plane.problems import NotFound, problems

router = APIRouter(tags=["identity"], responses=problems(NotFound))


@router.get("/.well-known/openid-configuration")
async def read_discovery_document(request: Request) -> dict[str, Any]:
    """The discovery document of the local issuer (OpenID Connect Discovery 1.0)."""
    return _issuer(request).discovery_document()


@router.get("/auth/jwks.json")
async def read_key_set(request: Request) -> dict[str, Any]:
    """The public keys of the local issuer (RFC 7517)."""
    return _issuer(request).key_set()


def _issuer(request: Request) -> LocalIssuer:
    issuer: LocalIssuer | None = request.app.state.local_issuer
    if issuer is None:
        raise NotFound("This control plane has no issuer of its own. Set CONTROL_PLANE_LOCAL_ISSUER_KEYS to have one.")
    return issuer

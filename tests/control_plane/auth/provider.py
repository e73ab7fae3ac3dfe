"""An OpenID Connect provider that really runs: discovery document, key set, signed tokens, and what can go wrong."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from control_plane.auth.oidc import Trusted
from control_plane.settings import OidcIssuer
from tests.serving import serving

AUDIENCE = "control-plane"

# Making an RSA key takes a second of computing, so all tests share these.
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1", "use": "sig"})
ED25519 = OKPKey.generate_key("Ed25519", {"kid": "ed-1", "use": "sig"})
STRANGER = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig"})
"""A key that no provider publishes, under the id of one that is."""

ROTATED = ECKey.generate_key("P-256", {"kid": "ec-2", "use": "sig"})


class Provider:
    """Change its attributes to change what it answers. `asked` counts the requests for its keys."""

    def __init__(self) -> None:
        self.url = ""
        self.published: list[Any] = [key.as_dict(private=False) for key in (RSA, EC, ED25519)]
        self.discovery: dict[str, Any] = {}
        self.answer: Response | None = None
        self.asked = 0
        self.app = Starlette(
            routes=[Route("/.well-known/openid-configuration", self._discovery), Route("/keys", self._keys)]
        )

    async def _discovery(self, _: Request) -> Response:
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | self.discovery)

    async def _keys(self, _: Request) -> Response:
        self.asked += 1
        return self.answer or JSONResponse({"keys": self.published})

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Those of a good token, changed; None takes one away."""
        now = int(time.time())
        good = {"iss": self.url, "sub": "ada", "aud": AUDIENCE, "iat": now, "nbf": now, "exp": now + 600}
        return {name: value for name, value in (good | changed).items() if value is not None}

    def token(self, key: Key = RSA, *, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A token as the provider issues it, but for what is changed."""
        algorithm = {"RSA": "RS256", "EC": "ES256", "OKP": "Ed25519", "oct": "HS256"}[key.key_type]
        headers = {"alg": algorithm, "kid": key.kid} | (header or {})
        return jwt.encode(
            {name: value for name, value in headers.items() if value is not None},
            self.claims(**changed),
            key,
            registry=JWSRegistry(algorithms=[headers["alg"]], strict_check_header=False),
        )

    @property
    def settings(self) -> OidcIssuer:
        """How the settings of a control plane name it."""
        return OidcIssuer(issuer=self.url, audience=AUDIENCE, algorithms=("RS256", "ES256", "Ed25519"))

    def trusted(self, keys: Any) -> Trusted:
        """It, with what knows its keys."""
        return Trusted(
            issuer=self.url, audience=AUDIENCE, algorithms=self.settings.algorithms, keys=keys, email_claim="email"
        )


@asynccontextmanager
async def running_provider(*, port: int = 0) -> AsyncIterator[Provider]:
    """A provider on a free port of this machine."""
    provider = Provider()
    async with serving(provider.app, port=port, lifespan=False) as url:
        provider.url = url
        yield provider

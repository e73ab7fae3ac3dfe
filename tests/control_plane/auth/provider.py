"""An OpenID Connect provider that really runs: discovery document, key set, signed tokens, and what can go wrong."""

import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import uuid4

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
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
    """Change its attributes to change what it answers. `asked` counts the requests for its keys.

    Whoever comes to its authorization endpoint is Ada, at once. `sent_back` changes what she is sent back with,
    `id_token` the claims about her, `token_answer` everything, and `codes` are those that still count.
    """

    def __init__(self) -> None:
        self.url = ""
        self.published: list[Any] = [key.as_dict(private=False) for key in (RSA, EC, ED25519)]
        self.discovery: dict[str, Any] = {}
        self.answer: Response | None = None
        self.asked = 0
        self.client_secret: str | None = None
        self.sent_back: dict[str, str] = {}
        self.id_token: dict[str, Any] = {}
        self.token_answer: Response | None = None
        self.codes: dict[str, dict[str, str]] = {}
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/keys", self._keys),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _discovery(self, _: Request) -> Response:
        endpoints = {
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
        }
        return JSONResponse({"issuer": self.url} | endpoints | self.discovery)

    async def _keys(self, _: Request) -> Response:
        self.asked += 1
        return self.answer or JSONResponse({"keys": self.published})

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        expected = {"response_type": "code", "client_id": AUDIENCE, "code_challenge_method": "S256"}
        if asked | expected != asked or "openid" not in asked["scope"].split():
            return JSONResponse({"error": "invalid_request"}, status_code=400)
        code = f"code-{uuid4()}"
        self.codes[code] = asked
        back = {"code": code, "state": asked["state"]} | self.sent_back
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", status_code=302)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        asked = self.codes.pop(form["code"], None)
        if not self._is_client(request, form):
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        if not (
            asked
            and form["grant_type"] == "authorization_code"
            and form["redirect_uri"] == asked["redirect_uri"]
            and create_s256_code_challenge(form["code_verifier"]) == asked["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        claims = {"nonce": asked["nonce"], "email": "ada@example.com", "email_verified": True} | self.id_token
        token = {"access_token": "access-token", "token_type": "Bearer", "id_token": self.token(**claims)}
        return self.token_answer or JSONResponse(token)

    def _is_client(self, request: Request, form: dict[str, str]) -> bool:
        if self.client_secret is None:
            return form.get("client_id") == AUDIENCE
        basic = base64.b64encode(f"{AUDIENCE}:{self.client_secret}".encode()).decode()
        if self.discovery.get("token_endpoint_auth_methods_supported") == ["client_secret_post"]:
            return (form.get("client_id"), form.get("client_secret")) == (AUDIENCE, self.client_secret)
        return request.headers.get("Authorization") == f"Basic {basic}"

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

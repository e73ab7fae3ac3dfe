"""Signing a browser in at an OpenID Connect provider: the authorization code flow with PKCE (RFC 7636).

Authlib makes the requests. Its httpx client would follow no limit on what a provider answers, so ours sends them; and
whether an ID token counts is decided in `oidc`, as for every token.
"""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import httpx
from authlib.oauth2 import OAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_token_request

from control_plane.auth.oidc import Identity, Tokens, Trusted
from control_plane.auth.oidc_keys import DEADLINE_SECONDS, ProviderFault, ProviderKeys, json_object
from control_plane.problems import Problem, Unavailable
from control_plane.settings import OidcIssuer

_AT_ONCE: Final = 16
"""Codes that are redeemed at once at one provider: whoever invents codes doesn't get us to flood it."""


class SignInFailed(Problem):
    """A sign-in came to nothing. It has to begin anew."""

    code, title = "sign_in_failed", "You are not signed in"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What ties the answer of a provider to the browser that asked: each is 256 random bits in base64url."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> "Secrets":
        """Those of a new sign-in."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(32))


class CodeFlow:
    """One provider, as browsers sign in there."""

    def __init__(self, settings: OidcIssuer, keys: ProviderKeys, http: httpx.AsyncClient) -> None:
        self.issuer = settings.issuer
        self._settings = settings
        self._client_id = settings.client_id or settings.audience
        self._keys = keys
        self._http = http
        self._turns = asyncio.Semaphore(_AT_ONCE)
        # An ID token is meant for the client, which a provider may know by another name than the API.
        trusted = Trusted(
            issuer=settings.issuer,
            audience=self._client_id,
            algorithms=settings.algorithms,
            keys=keys,
            email_claim=settings.email_claim,
        )
        self._tokens = Tokens([trusted])

    async def begin(self, begun: Secrets, *, redirect_uri: str) -> str:
        """Where the browser goes to sign in. Raises `Unavailable` if the provider doesn't say."""
        endpoint = await self._keys.endpoint("authorization_endpoint")
        url, _ = self._client(redirect_uri).create_authorization_url(
            endpoint, state=begun.state, code_verifier=begun.verifier, nonce=begun.nonce
        )
        return str(url)

    def check_sender(self, issuer: str | None) -> None:
        """Raise `SignInFailed` if an answer names another provider (RFC 9207), or names none where ours would."""
        promised = self._keys.offers("authorization_response_iss_parameter_supported", value=True)
        if issuer != self.issuer and (promised or issuer is not None):
            _fail("The answer came from another provider than the one you went to.")

    async def finish(self, code: str, begun: Secrets, *, redirect_uri: str) -> Identity:
        """Who signed in, for the code that the provider gave the browser.

        Raises `SignInFailed` if the provider doesn't accept the code, `Unauthenticated` if we don't accept its token,
        and `Unavailable` if it doesn't answer.
        """
        endpoint = await self._keys.endpoint("token_endpoint")
        client = self._client(redirect_uri)
        body = prepare_token_request(
            "authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=begun.verifier
        )
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        authentication = client.client_auth(self._authentication_method())
        url, headers, body = authentication.prepare("POST", endpoint, headers, body)
        token = await self._redeem(httpx.Request("POST", url, headers=headers, content=body))
        return await self._tokens.verify(token, nonce=begun.nonce)

    async def _redeem(self, request: httpx.Request) -> str:
        if self._turns.locked():
            raise Unavailable(
                f"Too many people sign in at {self.issuer} at this moment. Sign in again.",
                headers={"Retry-After": "1"},
            )
        try:
            async with self._turns, asyncio.timeout(DEADLINE_SECONDS):
                response = await self._http.send(request, stream=True)
                try:
                    if response.status_code >= 500:
                        raise ProviderFault(f"{request.url} answers {response.status_code}")
                    answer = await json_object(response)
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ProviderFault) as error:
            raise Unavailable(
                f"The provider {self.issuer} doesn't answer at the moment. Sign in again.",
                headers={"Retry-After": "10"},
            ) from error
        return _id_token(answer, response.status_code)

    def _client(self, redirect_uri: str) -> Any:
        secret = self._settings.client_secret
        return OAuth2Client(
            None,
            self._client_id,
            secret.get_secret_value() if secret else None,
            scope=self._settings.scopes,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )

    def _authentication_method(self) -> str:
        if self._settings.client_secret is None:
            return "none"
        # Without a list, OpenID Connect Discovery says, it is Basic.
        methods = "token_endpoint_auth_methods_supported"
        only_post = self._keys.offers(methods, "client_secret_post") and not self._keys.offers(
            methods, "client_secret_basic"
        )
        return "client_secret_post" if only_post else "client_secret_basic"


def _id_token(answer: dict[str, Any], status: int) -> str:
    if status != 200:
        if answer.get("error") == "invalid_client":
            _fail("The provider doesn't accept the client id and secret of this server. Tell who runs it.")
        _fail("The provider doesn't accept what it sent you back with: that counts once, and for a short time.")
    token = answer.get("id_token")
    if not isinstance(token, str):
        _fail("The provider answered without an ID token. Tell who runs this server.")
    return token


def _fail(reason: str) -> NoReturn:
    raise SignInFailed(reason)

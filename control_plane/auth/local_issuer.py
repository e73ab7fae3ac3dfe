"""An issuer of sign-in tokens inside the control plane, for installations without an identity provider.

It knows no passwords: whoever has its key, that is who runs the installation, issues a short-lived token for a member
with `control-plane token`. Other services can verify these tokens as those of any OpenID Connect provider.
"""

import re
import time
from datetime import timedelta
from typing import Any, Final, Self
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey

from control_plane.auth.oidc import Trusted
from control_plane.settings import Settings

ALGORITHMS: Final = {"Ed25519": "Ed25519", "P-256": "ES256"}
"""By curve, what its keys sign with."""

LONGEST: Final = timedelta(hours=24)

_PEM = re.compile(r"-----BEGIN (?P<label>[A-Z ]+)-----.+?-----END (?P=label)-----", re.DOTALL)


class LocalIssuer:
    """Signs with the first of its keys and publishes all of them, so that a key can be replaced without a gap.

    `url` is where the API server is reached; it is both the issuer and, unless told otherwise, the audience. `pem`
    holds one or more Ed25519 or P-256 keys, the first of them private. Raises `ValueError` for any other.
    """

    def __init__(self, url: str, pem: str) -> None:
        self.url = url.rstrip("/")
        self._keys = [_key(found.group()) for found in _PEM.finditer(pem.replace("\\n", "\n"))]
        if not (self._keys and self._keys[0].is_private):
            raise ValueError("CONTROL_PLANE_LOCAL_ISSUER_KEYS must begin with a private key in PEM.")

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The one that the settings describe, if they do."""
        keys = settings.local_issuer_keys
        return cls(str(settings.public_url), keys.get_secret_value()) if keys else None

    def issue(self, subject: str, *, lifetime: timedelta, audience: str | None = None, email: str | None = None) -> str:
        """A token that vouches for `subject` and, if given, for `email`, from now on for `lifetime`."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.url,
            "sub": subject,
            "aud": audience or self.url,
            "iat": now,
            "exp": now + int(lifetime.total_seconds()),
            "jti": str(uuid4()),
        }
        if email:
            claims |= {"email": email, "email_verified": True}
        key = self._keys[0]
        algorithm = _algorithm(key)
        return jwt.encode({"alg": algorithm, "kid": key.kid}, claims, key, algorithms=[algorithm])

    def trusted(self) -> Trusted:
        """How the control plane itself takes the tokens: only those meant for it."""
        return Trusted(issuer=self.url, audience=self.url, algorithms=tuple(ALGORITHMS.values()), keys=self)

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """As `control_plane.auth.oidc.Keys` describes it, with nobody to ask."""
        return next((key for key in self._keys if key.kid == kid and _algorithm(key) == algorithm), None)

    def discovery_document(self) -> dict[str, Any]:
        """What OpenID Connect Discovery asks for, as far as an issuer without a login page has it."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/auth/jwks.json",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted({_algorithm(key) for key in self._keys}),
            "claims_supported": ["iss", "sub", "aud", "iat", "exp", "jti", "email", "email_verified"],
        }

    def key_set(self) -> dict[str, Any]:
        """The public keys (RFC 7517)."""
        return {"keys": [key.as_dict(private=False, use="sig", alg=_algorithm(key)) for key in self._keys]}


def new_key() -> str:
    """A new Ed25519 key in PEM."""
    return OKPKey.generate_key("Ed25519").as_pem(private=True).decode()


def _key(pem: str) -> OKPKey | ECKey:
    for kind in (OKPKey, ECKey):
        try:
            key = kind.import_key(pem)
        except (JoseError, ValueError, TypeError):
            continue
        if key.curve_name in ALGORITHMS:
            key.ensure_kid()
            return key
    raise ValueError("CONTROL_PLANE_LOCAL_ISSUER_KEYS holds a key that is neither Ed25519 nor P-256.")


def _algorithm(key: OKPKey | ECKey) -> str:
    return ALGORITHMS[key.curve_name]

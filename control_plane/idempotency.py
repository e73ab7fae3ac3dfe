"""`Idempotency-Key`: a request that is sent again is answered again, not carried out again.

The key is claimed, the work done and the answer recorded in one transaction. So nothing is created without its record,
and nobody's record exists without what it tells of. A second request with the key waits at the row of the first until
that is decided. A key counts for the credential that sent it, for 24 hours.

What is stored opens nothing. An answer may show a secret once (a new API key), so it is encrypted, and the key for that
is derived from the server's secret key *and* the `Idempotency-Key`, of which only an HMAC is stored.
"""

import base64
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Response
from sqlalchemy import LargeBinary, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.auth.credentials import Hasher
from control_plane.auth.principals import Principal
from control_plane.db import Base, Database, TenantOwned, enter
from control_plane.problems import Conflict

KEPT = timedelta(hours=24)
REPLAYED = "Idempotent-Replayed"

_NONCE_BYTES = 12


class IdempotencyKeyReused(Conflict):
    """The `Idempotency-Key` was sent before with another request. Use a new key for each new request."""

    code, title = "idempotency_key_reused", "The idempotency key belongs to another request"


class RecordedAnswer(Base, TenantOwned):
    """The answer to one request, encrypted. `answer` is empty only inside the transaction that carries it out."""

    __tablename__ = "recorded_answers"

    key_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    answer: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with its key, reduced to what tells it from others."""

    key_hash: bytes
    fingerprint: bytes
    cipher_key: bytes

    @classmethod
    def of(cls, key: str, principal: Principal, request: bytes, *, hasher: Hasher) -> "Asked":
        """`request` is everything that makes the same request: method, path, query and body."""

        def derived(purpose: str) -> bytes:
            asker = f"{principal.kind}\n{principal.credential_id or principal.member_id}\n{principal.name}"
            return hasher(f"idempotency {purpose}\n{asker}\n{key}")

        # Under a key of its own: a body may hold a secret that could be guessed from a plain hash.
        return cls(derived("key"), hmac.digest(derived("request"), request, "sha256"), derived("answer"))

    @property
    def organization_id(self) -> UUID:
        """The organization that this request creates, if that is what it does."""
        return UUID(bytes=self.key_hash[:16], version=4)


class Claim:
    """The right to carry out a request, held by one transaction. End it with `record`."""

    NOT_KEPT: ClassVar = frozenset({"content-length"})

    def __init__(self, session: AsyncSession, asked: Asked) -> None:
        self._session = session
        self._asked = asked

    async def record(self, response: Response) -> None:
        """Store the answer next to what it tells of, in the same transaction."""
        await self._session.execute(
            update(RecordedAnswer)
            .where(RecordedAnswer.key_hash == self._asked.key_hash)
            .values(answer=_encrypted(self._asked, _packed(response, without=self.NOT_KEPT)))
            .execution_options(synchronize_session=False)
        )


async def claim(session: AsyncSession, asked: Asked) -> Claim | Response:
    """The claim to carry the request out, or its answer from before. Waits for a twin that is being carried out.

    Raises `IdempotencyKeyReused` if the key came with another request.
    """
    creates_organization = session.info.get("organization_id") is None
    if creates_organization:
        # Who creates an organization is in none. The record needs one, and so the new one's id follows from the key.
        await enter(session, asked.organization_id)
    fresh = insert(RecordedAnswer).values(
        organization_id=session.info["organization_id"], key_hash=asked.key_hash, fingerprint=asked.fingerprint
    )
    claimed = await session.scalar(
        fresh.on_conflict_do_update(
            index_elements=[RecordedAnswer.organization_id, RecordedAnswer.key_hash],
            set_={"fingerprint": fresh.excluded.fingerprint, "answer": None, "created_at": func.now()},
            where=RecordedAnswer.created_at < func.clock_timestamp() - KEPT,
        ).returning(RecordedAnswer.key_hash)
    )
    if claimed is not None and creates_organization and await session.scalar(text("SELECT true FROM organizations")):
        raise IdempotencyKeyReused("This Idempotency-Key made an organization more than 24 hours ago. Send a new key.")
    if claimed is not None:
        return Claim(session, asked)
    earlier = (
        await session.execute(
            select(RecordedAnswer.fingerprint, RecordedAnswer.answer).where(RecordedAnswer.key_hash == asked.key_hash)
        )
    ).one()
    if earlier.answer is None or not hmac.compare_digest(earlier.fingerprint, asked.fingerprint):
        raise IdempotencyKeyReused(
            "This Idempotency-Key came before with another path or body. Send a new request with a new key, and an old"
            " key with the same request only."
        )
    return _unpacked(_decrypted(asked, earlier.answer))


async def forget_expired(database: Database) -> None:
    """Delete the answers that are no longer kept, in every organization."""
    async with database.tenant(None) as session:
        concerned = (await session.scalars(text("SELECT * FROM organizations_with_expired_answers()"))).all()
    for organization_id in concerned:
        async with database.tenant(organization_id) as session:
            await session.execute(
                delete(RecordedAnswer).where(RecordedAnswer.created_at < func.clock_timestamp() - KEPT)
            )


def _packed(response: Response, *, without: frozenset[str]) -> bytes:
    headers = [[name, value] for name, value in response.headers.items() if name not in without]
    head = {"status": response.status_code, "headers": headers, "body": base64.b64encode(response.body).decode()}
    return json.dumps(head).encode()


def _unpacked(packed: bytes) -> Response:
    head = json.loads(packed)
    response = Response(base64.b64decode(head["body"]), status_code=head["status"])
    for name, value in head["headers"]:
        response.headers.append(name, value)
    response.headers[REPLAYED] = "true"
    return response


def _encrypted(asked: Asked, answer: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(asked.cipher_key).encrypt(nonce, answer, asked.fingerprint)


def _decrypted(asked: Asked, stored: bytes) -> bytes:
    nonce, sealed = stored[:_NONCE_BYTES], stored[_NONCE_BYTES:]
    return AESGCM(asked.cipher_key).decrypt(nonce, sealed, asked.fingerprint)

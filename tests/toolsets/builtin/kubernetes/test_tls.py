"""A cluster as clusters are: behind TLS with an authority of its own, asking for a client's certificate."""

import base64
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.toolsets.builtin.kubernetes.api_server import TOKEN, ApiServer
from toolsets import ToolFailed
from toolsets.builtin.kubernetes import kubernetes
from toolsets.testing import call

pytestmark = pytest.mark.integration


@dataclass(frozen=True, slots=True)
class Issued:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()


def issued(name: str, *, by: Issued | None = None) -> Issued:
    """A certificate for 127.0.0.1, or that of an authority where nobody issues it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signer = by.key if by else key
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=by is None,
                crl_sign=by is None,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    return Issued(built.sign(signer, hashes.SHA256()), key)


AUTHORITY = issued("authority")
CLIENT = issued("agent", by=AUTHORITY)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server reads: `ca`, `cert` and `key`."""
    made = tmp_path_factory.mktemp("tls")
    server = issued("server", by=AUTHORITY)
    for name, pem in (("ca", AUTHORITY.pem), ("cert", server.pem), ("key", server.key_pem)):
        (made / name).write_text(pem)
    return made


@pytest.fixture(scope="session")
async def secured(folder: Path) -> AsyncIterator[str]:
    config = uvicorn.Config(
        ApiServer(),
        host="127.0.0.1",
        port=0,
        lifespan="off",
        log_config=None,
        ssl_ca_certs=str(folder / "ca"),
        ssl_certfile=str(folder / "cert"),
        ssl_keyfile=str(folder / "key"),
        ssl_cert_reqs=ssl.CERT_REQUIRED,
        timeout_graceful_shutdown=1,
    )
    config.load()
    listening = uvicorn.Server(config)
    listening.lifespan = config.lifespan_class(config)
    await listening.startup()
    yield f"https://127.0.0.1:{listening.servers[0].sockets[0].getsockname()[1]}"
    await listening.shutdown()


def encoded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


async def listed(server: str, *, authority: Issued = AUTHORITY, client: Issued | None = CLIENT) -> Any:
    shown = client and {"client-certificate-data": encoded(client.pem), "client-key-data": encoded(client.key_pem)}
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [
            {"name": "a", "cluster": {"server": server, "certificate-authority-data": encoded(authority.pem)}}
        ],
        "users": [{"name": "a", "user": {"token": TOKEN, **(shown or {})}}],
    }
    settings = {"allow_loopback": True}
    return await call(kubernetes, "list", settings=settings, secrets={"kubeconfig": json.dumps(config)}, kind="Pod")


async def test_certificates_of_the_kubeconfig_count_on_both_sides(secured: str) -> None:
    assert await listed(secured) == {"kind": "Pod", "items": []}


async def test_a_server_of_another_authority_is_not_spoken_to(secured: str) -> None:
    with pytest.raises(ToolFailed, match=r"can't be reached .*certificate verify failed"):
        await listed(secured, authority=issued("another"))


async def test_without_a_certificate_to_show_there_is_no_answer(secured: str) -> None:
    with pytest.raises(ToolFailed, match="can't be reached"):
        await listed(secured, client=None)


async def test_a_key_that_belongs_to_another_certificate_is_told(secured: str) -> None:
    with pytest.raises(ToolFailed, match="no PEM that can be used"):
        await listed(secured, client=Issued(CLIENT.certificate, issued("another").key))

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import ValidationError

from control_plane import settings as configuration
from control_plane.settings import Settings

pytestmark = pytest.mark.unit

SECRETS = {
    "CONTROL_PLANE_DATABASE_URL": "postgresql://login:p4ssw0rd@localhost/control_plane",
    "CONTROL_PLANE_SECRET_KEY": "k3y-k3y-k3y-k3y-k3y-k3y-k3y-k3y-k3y",
    "CONTROL_PLANE_OPERATOR_KEY": "0per4tor-0per4tor-0per4tor-0per4tor",
    "CONTROL_PLANE_ENCRYPTION_KEYS": "3ncryption" + "A" * 33 + "=",
    "CONTROL_PLANE_MIGRATION_DATABASE_URL": "postgresql://owner:0wner-w0rd@localhost/control_plane",
    "CONTROL_PLANE_PREFECT_AUTH_STRING": "admin:pr3fect",
}


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    configuration.settings.cache_clear()
    yield
    configuration.settings.cache_clear()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which all secrets are set."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CONTROL_PLANE_DATABASE_POOL_SIZE", "5")
    environment.setenv("CONTROL_PLANE_LEASE", "PT45S")

    settings = configuration.settings()

    assert settings.database_pool_size == 5
    assert settings.lease == timedelta(seconds=45)
    assert settings.secret_key.get_secret_value() == SECRETS["CONTROL_PLANE_SECRET_KEY"]


def test_the_usual_name_of_a_database_url_is_understood_too(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("CONTROL_PLANE_DATABASE_URL")
    environment.setenv("DATABASE_URL", "postgresql://somewhere/else")

    assert configuration.settings().database_url.get_secret_value() == "postgresql://somewhere/else"


@pytest.mark.parametrize("name", ["CONTROL_PLANE_DATABASE_URL", "CONTROL_PLANE_SECRET_KEY"])
def test_a_missing_secret_is_named_as_people_set_it(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(name)

    with pytest.raises(ValidationError, match=rf"{name}\n\s+Field required"):
        configuration.settings()


@pytest.mark.parametrize("name", ["CONTROL_PLANE_SECRET_KEY", "CONTROL_PLANE_OPERATOR_KEY"])
def test_a_secret_that_is_too_short_is_named_but_not_shown(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "sh0rt-secret")

    with pytest.raises(ValidationError, match=name) as caught:
        configuration.settings()

    assert "at least 32" in str(caught.value)
    assert "sh0rt" not in str(caught.value)


@pytest.mark.parametrize("rendered", [repr, str, lambda settings: str(settings.model_dump())])
def test_secrets_are_never_rendered(environment: pytest.MonkeyPatch, rendered: object) -> None:
    text = rendered(configuration.settings())  # type: ignore[operator] # one of the three above

    assert [value for value in ("p4ssw0rd", "k3y", "0per4tor", "3ncryption", "0wner", "pr3fect") if value in text] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONTROL_PLANE_LEASE", "PT0S"),
        ("CONTROL_PLANE_BROWSER_SESSION_LIFETIME", "PT14M"),
        ("CONTROL_PLANE_BROWSER_SESSION_LIFETIME", "P31D"),
        ("CONTROL_PLANE_RECONCILE_EVERY", "PT0S"),
        ("CONTROL_PLANE_STREAM_KEEPALIVE", "PT0S"),
        ("CONTROL_PLANE_EXECUTION_TOKEN_LIFETIME", "PT0S"),
        ("CONTROL_PLANE_DATABASE_POOL_SIZE", "0"),
        ("CONTROL_PLANE_MAX_BODY_BYTES", "655359"),
        ("CONTROL_PLANE_PUBLIC_URL", "not a url"),
    ],
)
def test_a_value_with_which_no_server_could_work_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv(name, value)

    with pytest.raises(ValidationError, match=name):
        configuration.settings()


@pytest.mark.parametrize(
    "keys", ["", "3ncryption", "3ncryption" + "A" * 34, "A" * 43 + "=,3ncryption", "A" * 43 + "=,", "3ncryption!" * 4]
)
def test_an_encryption_key_that_is_none_is_named_and_not_shown(environment: pytest.MonkeyPatch, keys: str) -> None:
    environment.setenv("CONTROL_PLANE_ENCRYPTION_KEYS", keys)

    with pytest.raises(ValidationError, match=r"CONTROL_PLANE_ENCRYPTION_KEYS\n.*openssl rand -base64 32") as caught:
        configuration.settings()

    assert "3ncryption" not in str(caught.value)


def test_settings_do_not_change(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        configuration.settings().database_pool_size = 3  # type: ignore[misc] # that is the point


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("client_secret", ""), ("client_secret", "s3cr\u00e9t"), ("scopes", "email"), ("scopes", ""), ("client_id", "")],
)
def test_an_issuer_with_which_no_browser_could_sign_in_is_named(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    issuer = {"issuer": "https://login.example.com", "audience": "control-plane", name: value}
    environment.setenv("CONTROL_PLANE_OIDC_ISSUERS", json.dumps([issuer]))

    with pytest.raises(ValidationError, match=rf"CONTROL_PLANE_OIDC_ISSUERS\.0\.{name}") as caught:
        configuration.settings()

    assert "s3cr" not in str(caught.value)

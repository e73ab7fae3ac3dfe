import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.toolsets.builtin.authority import Authority
from tests.toolsets.builtin.web import Web, serving
from toolsets import Retryable, SettingsInvalid, ToolFailed
from toolsets.builtin import addresses
from toolsets.builtin.http import http
from toolsets.testing import call, conforms

pytestmark = pytest.mark.integration

LOCAL = {"allowed_networks": ["127.0.0.0/8"]}

Resolving = Callable[..., list[str]]


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as running:
        yield running


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> Resolving:
    """Make names resolve to addresses, one list after the other. Returns the names that were looked up."""

    def answer(**answers: list[list[str]]) -> list[str]:
        asked: list[str] = []

        async def resolve(host: str, port: int) -> Sequence[str]:
            asked.append(host)
            return answers[host.partition(".")[0]].pop(0)

        monkeypatch.setattr(addresses, "system_resolver", resolve)
        return asked

    return answer


def test_it_keeps_the_contract() -> None:
    conforms(http, settings={"allowed_hosts": ["example.com"], "authorization": {"example.com": "token"}})


def test_each_tool_says_what_it_does_to_the_world() -> None:
    effects = {name.removeprefix("http_"): (tool.effect, tool.idempotent) for name, tool in http.tools.items()}

    assert effects == {
        "get": ("read", True),
        "head": ("read", True),
        "post": ("write", False),
        "put": ("write", False),
        "patch": ("write", False),
        "delete": ("destroy", False),
    }


async def test_what_is_at_a_url_is_got(web: Web) -> None:
    web.answer("/a?b=c", "Grüße".encode(), ETag='"1"', Set_Cookie="session=1")

    got: Any = await call(http, "get", settings=LOCAL, url=web.url("/a?b=c#d"), headers={"X-Mine": "1"})

    assert (got["url"], got["status"], got["body"]) == (web.url("/a?b=c"), 200, "Grüße")
    assert got["headers"]["etag"] == '"1"'
    assert "set-cookie" not in got["headers"]
    [asked] = web.asked
    assert asked.headers["host"] == f"127.0.0.1:{web.port}"
    assert asked.headers["x-mine"] == "1"


@pytest.mark.parametrize("method", ["post", "put", "patch"])
async def test_a_body_is_sent(web: Web, method: str) -> None:
    web.answer("/a", b"done", 201)

    got: Any = await call(http, method, settings=LOCAL, url=web.url("/a"), body='{"a": 1}')

    assert (got["status"], got["body"]) == (201, "done")
    [asked] = web.asked
    assert (asked.method, asked.body) == (method.upper(), b'{"a": 1}')
    assert asked.headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["head", "delete"])
async def test_a_request_without_a_body(web: Web, method: str) -> None:
    web.answer("/a", b"", 204)

    got: Any = await call(http, method, settings=LOCAL, url=web.url("/a"))

    assert (got["status"], got["body"], web.asked[0].method) == (204, "", method.upper())


async def test_a_failure_of_the_server_is_told_as_it_is(web: Web) -> None:
    got: Any = await call(http, "get", settings=LOCAL, url=web.url("/nothing"))

    assert (got["status"], got["body"]) == (404, "nothing here")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f.1:{port}/",
        "http://0177.0.0.1:{port}/",
        "http://0:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://168.63.129.16/",
        "http://10.0.0.1/",
        "http://127.0.0.1%2f@1.1.1.1:{port}/",
        "http://\uff11\uff12\uff17.0.0.1:{port}/",
    ],
)
async def test_addresses_that_are_not_public_are_refused(web: Web, url: str) -> None:
    with pytest.raises(ToolFailed, match=r"isn't on the public internet|Leave the user|not a URL"):
        await call(http, "get", url=url.format(port=web.port))

    assert web.asked == []


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest", "http://[::1]:1/", "//10.0.0.1/", "http://0/"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_such_an_address_is_refused(web: Web, status: int, location: str) -> None:
    web.answer("/a", b"", status, Location=location)

    with pytest.raises(ToolFailed, match="isn't on the public internet"):
        await call(http, "get", settings={"allowed_networks": ["127.0.0.1/32"]}, url=web.url("/a"))

    assert len(web.asked) == 1


async def test_a_name_that_changes_its_address_leads_nowhere(web: Web, resolving: Resolving) -> None:
    asked = resolving(rebinding=[["127.0.0.1"], ["10.0.0.1"]])
    web.answer("/a", b"first")

    got: Any = await call(http, "get", settings=LOCAL, url=web.url("/a", "rebinding.test"))
    with pytest.raises(ToolFailed, match=r"has the address 10\.0\.0\.1"):
        await call(http, "get", settings=LOCAL, url=web.url("/a", "rebinding.test"))

    # Once a request: what was judged is what is connected to.
    assert asked == ["rebinding.test", "rebinding.test"]
    assert got["body"] == "first"
    assert web.asked[0].headers["host"] == f"rebinding.test:{web.port}"


async def test_the_next_address_is_tried_where_the_first_does_not_answer(web: Web, resolving: Resolving) -> None:
    resolving(several=[["127.0.0.2", "127.0.0.1"]])
    web.answer("/a", b"here")

    got: Any = await call(http, "get", settings=LOCAL, url=web.url("/a", "several.test"))

    assert got["body"] == "here"


async def test_proxies_of_the_environment_are_not_used(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url("/"))
        monkeypatch.setenv("ALL_PROXY", proxy.url("/"))
        web.answer("/a", b"direct")

        got: Any = await call(http, "get", settings=LOCAL, url=web.url("/a"))

        assert (got["body"], proxy.asked) == ("direct", [])


async def test_only_listed_hosts_are_asked(web: Web) -> None:
    settings = {**LOCAL, "allowed_hosts": ["example.com", f"127.0.0.1:{web.port}"]}
    web.answer("/a", b"", 302, Location="http://localhost/")

    with pytest.raises(ToolFailed, match=r"localhost \(port 80\) may not be asked"):
        await call(http, "get", settings=settings, url=web.url("/a"))


async def test_redirects_are_followed_but_not_for_ever(web: Web) -> None:
    web.answer("/a", b"", 302, Location="/b")
    web.answer("/b", b"", 302, Location="c")
    web.answer("/c", b"there")
    web.answer("/loop", b"", 302, Location="/loop")

    got: Any = await call(http, "get", settings=LOCAL, url=web.url("/a"))
    with pytest.raises(ToolFailed, match="more than 5 redirects"):
        await call(http, "get", settings=LOCAL, url=web.url("/loop"))

    assert (got["url"], got["body"]) == (web.url("/c"), "there")


@pytest.mark.parametrize(("status", "method", "body"), [(303, "GET", b""), (302, "GET", b""), (307, "POST", b"x")])
async def test_a_body_goes_on_only_where_the_status_says_so(web: Web, status: int, method: str, body: bytes) -> None:
    web.answer("/a", b"", status, Location="/b")

    await call(http, "post", settings=LOCAL, url=web.url("/a"), body="x")

    assert (web.asked[1].method, web.asked[1].body) == (method, body)


async def test_private_headers_do_not_go_to_another_host(web: Web, resolving: Resolving) -> None:
    resolving(one=[["127.0.0.1"]], two=[["127.0.0.1"]])
    web.answer("/a", b"", 302, Location=web.url("/b", "two.test"))
    headers = {"Authorization": "Bearer of-the-model", "Cookie": "a=b", "X-Kept": "1"}

    await call(http, "get", settings=LOCAL, url=web.url("/a", "one.test"), headers=headers)

    first, second = web.asked
    assert (first.headers["authorization"], first.headers["cookie"]) == ("Bearer of-the-model", "a=b")
    assert second.headers["x-kept"] == "1"
    assert {"authorization", "cookie"}.isdisjoint(second.headers)


@pytest.fixture
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Web, dict[str, Any]]]:
    """A server with a certificate for api.test, and settings that trust it and give that host a token."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    with serving(authority.server("api.test")) as running:
        settings = {**LOCAL, "ca_file": str(authority.ca_file), "authorization": {"api.test": "api_token"}}
        yield running, settings


SECRETS = {"api_token": "Bearer t0ken"}


async def test_a_token_is_sent_to_its_host(secure: tuple[Web, dict[str, Any]], resolving: Resolving) -> None:
    web, settings = secure
    resolving(api=[["127.0.0.1"]])
    web.answer("/a", b"in")

    got: Any = await call(http, "get", settings=settings, secrets=SECRETS, url=web.url("/a", "api.test"))

    assert got["body"] == "in"
    assert web.asked[0].headers["authorization"] == "Bearer t0ken"


async def test_a_token_is_not_sent_on_to_another_host_or_without_tls(
    secure: tuple[Web, dict[str, Any]], web: Web, resolving: Resolving
) -> None:
    safe, settings = secure
    resolving(api=[["127.0.0.1"], ["127.0.0.1"]], other=[["127.0.0.1"]])
    safe.answer("/a", b"", 302, Location=web.url("/b", "other.test"))
    web.answer("/b", b"", 302, Location=web.url("/c", "api.test"))

    await call(http, "get", settings=settings, secrets=SECRETS, url=safe.url("/a", "api.test"))

    assert safe.asked[0].headers["authorization"] == "Bearer t0ken"
    assert [asked.path for asked in web.asked] == ["/b", "/c"]
    assert not [asked for asked in web.asked if "authorization" in asked.headers]


async def test_a_certificate_of_another_host_is_not_accepted(
    secure: tuple[Web, dict[str, Any]], resolving: Resolving
) -> None:
    web, settings = secure
    resolving(impostor=[["127.0.0.1"]])

    with pytest.raises(Retryable, match="certificate"):
        await call(http, "get", settings=settings, secrets=SECRETS, url=web.url("/a", "impostor.test"))

    assert web.asked == []


async def test_a_large_answer_is_cut(web: Web) -> None:
    web.answer("/large", b"x" * 100_000)

    got: Any = await call(http, "get", settings={**LOCAL, "max_bytes": 1000}, url=web.url("/large"))

    assert got["body"] == "x" * 1000 + "… (cut: the first 1000 bytes)"


async def test_a_compressed_answer_is_bounded_too(web: Web) -> None:
    tracemalloc.start()

    got: Any = await call(http, "get", settings={**LOCAL, "max_bytes": 1000}, url=web.url("/bomb"))

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert got["body"] == "(not text: more than 1000 bytes)"
    assert most < 10_000_000


async def test_an_answer_that_does_not_come_is_not_waited_for(web: Web) -> None:
    settings = {**LOCAL, "timeout_seconds": 0.3}

    with pytest.raises(Retryable, match=r"within 0\.3 s|failed"):
        await call(http, "get", settings=settings, url=web.url("/never"))
    with pytest.raises(ToolFailed, match=r"It may have (been received|done what was asked)") as failure:
        await call(http, "post", settings=settings, url=web.url("/never"))

    assert not isinstance(failure.value, Retryable)


async def test_only_reading_is_possible_where_that_is_set(web: Web) -> None:
    with pytest.raises(ToolFailed, match="Only get and head"):
        await call(http, "delete", settings={**LOCAL, "read_only": True}, url=web.url("/a"))

    assert web.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil"},
        {"Transfer-Encoding": "chunked"},
        {"a": "b\r\nc: d"},
        {"a\n": "b"},
        {"Proxy-Auth": "x"},
        {"ä": "ö"},
    ],
)
async def test_headers_that_change_the_request_are_refused(web: Web, headers: dict[str, str]) -> None:
    with pytest.raises(ToolFailed, match=r"[Hh]eader"):
        await call(http, "get", settings=LOCAL, url=web.url("/a"), headers=headers)

    assert web.asked == []


@pytest.mark.parametrize("url", ["", "example.com", "ftp://example.com", "file:///etc/passwd", "http://"])
async def test_what_is_no_url_is_explained(url: str) -> None:
    with pytest.raises(ToolFailed, match="URL"):
        await call(http, "get", url=url)


@pytest.mark.parametrize("setting", [{"allowed_hosts": ["https://a"]}, {"allowed_networks": ["x"]}, {"a": 1}])
def test_wrong_settings_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(SettingsInvalid):
        http.configured(setting)

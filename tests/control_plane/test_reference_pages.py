import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

pytestmark = pytest.mark.integration

PAGES = ["/api/docs", "/api/redoc"]


@pytest.fixture
async def browser(api_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without a credential."""
    async with httpx.AsyncClient(base_url=api_url, trust_env=False) as client:
        yield client


def addresses(page: str) -> list[str]:
    """Everything that a page names: attributes, and what its scripts fetch."""
    return re.findall(r"""(?:src|href|spec-url|url)\s*[=:]\s*["']([^"']+)["']""", page)


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_names_no_other_host(browser: httpx.AsyncClient, page: str) -> None:
    response = await browser.get(page)

    assert response.status_code == 200
    assert "://" not in response.text
    assert len(addresses(response.text)) >= 3
    assert {urlsplit(address).netloc for address in addresses(response.text)} == {""}


@pytest.mark.parametrize("page", PAGES)
async def test_everything_that_a_page_names_is_served(browser: httpx.AsyncClient, page: str) -> None:
    named = addresses((await browser.get(page)).text)

    served = [await browser.get(address) for address in named]

    assert [(answer.url.path, answer.status_code) for answer in served] == [(address, 200) for address in named]
    assert [answer for answer in served if len(answer.content) < 1_000] == []


@pytest.mark.parametrize("page", PAGES)
async def test_a_browser_is_told_to_ask_no_other_host(browser: httpx.AsyncClient, page: str) -> None:
    policy = (await browser.get(page)).headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'self';")
    assert "http" not in policy
    assert "*" not in policy
    assert "'unsafe-inline'" not in policy.replace("style-src 'self' 'unsafe-inline'", "")


async def test_the_script_that_stands_in_a_page_is_the_one_that_may_run(browser: httpx.AsyncClient) -> None:
    response = await browser.get("/api/docs")

    assert len(re.findall(r"<script>", response.text)) == 1
    assert len(re.findall(r"'sha256-[A-Za-z0-9+/]{43}='", response.headers["Content-Security-Policy"])) == 1


@pytest.mark.parametrize("path", ["core.py", "../core.py", "%2e%2e/core.py", "..%2fcore.py", ""])
async def test_no_other_file_is_served(browser: httpx.AsyncClient, path: str) -> None:
    response = await browser.get(f"/api/docs/files/{path}")

    assert response.status_code == 404

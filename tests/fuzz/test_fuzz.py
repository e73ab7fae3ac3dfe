"""Requests that nobody thought of, made from the API's own description: none is a fault, every answer is as described.

The budget is small here, with a fixed seed; `make fuzz` sends about 50,000 requests. A failure prints the request.
"""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from tests.tenants import Tenant

pytestmark = pytest.mark.integration

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "4")
"""Requests for each operation, at most."""

SECONDS = os.environ.get("FUZZ_SECONDS", "10")
"""How long to go from one operation to the next."""

SEED = os.environ.get("FUZZ_SEED", "20260101")

PHASES = "examples,coverage,fuzzing,stateful" if "FUZZ_EXAMPLES" in os.environ else "examples,fuzzing,stateful"

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "response_headers_conformance", "allow_header_conformance", "unsupported_method", "use_after_free",
    "ensure_resource_availability",
)  # fmt: skip

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")

NOT_OURS = "LLM gateway"
"""Its errors are those of OpenAI's API, and have tests of their own."""

ENDLESS = "/api/v1/executions/{execution_id}/stream"


async def fuzzed(api_url: str, tenant: Tenant, folder: Path, *how: str) -> tuple[int | None, str]:
    """How it ended and what was printed."""
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "--no-color",
        *how, f"{api_url}/openapi.json", "--url", api_url, "-H", f"Authorization: Bearer {tenant.api_key}",
        "--checks", ",".join(CHECKS), "--exclude-path", ENDLESS, "--exclude-tag", NOT_OURS, "--seed", SEED,
        "--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=os.environ | {"ORGANIZATION_ID": tenant.organization["id"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, printed.decode()


def sent(printed: str) -> int:
    """How many requests were made."""
    found = re.search(r"(\d+) generated", printed)
    assert found is not None, printed[-20_000:]
    return int(found[1])


async def test_no_request_is_a_fault_of_the_server_and_every_answer_is_as_described(
    acme: Tenant, api_url: str, tmp_path: Path
) -> None:
    budget = ["--phases", PHASES, "--max-examples", EXAMPLES, "--no-shrink"]

    code, printed = await fuzzed(api_url, acme, tmp_path, "run", *budget)

    assert code == 0, printed[-20_000:]
    assert sent(printed) >= 300


async def test_nor_does_any_sequence_along_the_links_of_the_description_lead_to_one(
    acme: Tenant, api_url: str, tmp_path: Path
) -> None:
    code, printed = await fuzzed(api_url, acme, tmp_path, "fuzz", "--max-time", SECONDS)

    assert code == 0, printed[-20_000:]
    assert sent(printed) >= 30

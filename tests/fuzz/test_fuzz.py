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

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "5")
"""Requests for each operation, about."""

PHASES = "examples,coverage,fuzzing,stateful" if "FUZZ_EXAMPLES" in os.environ else "fuzzing,stateful"

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"

NOT_OURS = "LLM gateway"
"""Its errors are those of OpenAI's API, and have tests of their own."""

ENDLESS = "/api/v1/executions/{execution_id}/stream"


async def fuzzed(api_url: str, key: str, folder: Path) -> tuple[int | None, str]:
    """How it ended and what was printed."""
    command = [
        sys.executable, "-m", "schemathesis.cli", "run", f"{api_url}/openapi.json", "--url", api_url,
        "-H", f"Authorization: Bearer {key}", "--checks", CHECKS, "--phases", PHASES,
        "--exclude-path", ENDLESS, "--exclude-tag", NOT_OURS,
        "--max-examples", EXAMPLES, "--seed", "20260101", "--no-shrink", "--continue-on-failure", "--no-color",
        "--suppress-health-check", "all", "--warnings", "off",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode, printed.decode()


async def test_no_request_is_a_fault_of_the_server_and_every_answer_is_as_described(
    acme: Tenant, api_url: str, tmp_path: Path
) -> None:
    code, printed = await fuzzed(api_url, acme.api_key, tmp_path)

    sent = re.search(r"(\d+) generated", printed)
    assert code == 0, printed[-20_000:]
    assert sent is not None
    assert int(sent[1]) >= 300

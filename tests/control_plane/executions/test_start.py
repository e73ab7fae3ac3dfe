import pytest

from tests.tenants import Tenant

pytestmark = pytest.mark.integration


async def test_a_new_execution_is_pending(acme: Tenant) -> None:
    execution = await acme.start("hello")

    assert execution["status"] == "pending"

import pytest

from tests.tenants import Tenant

pytestmark = pytest.mark.integration

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"name": "A", "slug": "a", "name": "B"}', "The name 'name' is given twice"),
        (b'{"name": "A", "slug": "a", "n": {"x": 1, "x": 1}}', "The name 'x' is given twice"),
        (b'{"name": "A", "slug": "a", "\\ud800": 1, "\\ud800": 2}', r"The name '\ud800' is given twice"),
        (b'{"name": "\xff", "slug": "a"}', "not UTF-8 (at character 10)"),
        (b'{"name": "\xed\xa0\x80", "slug": "a"}', "not UTF-8"),
        ('{"name": "A", "slug": "a"}'.encode("utf-16"), "not UTF-8"),
        (b'\xef\xbb\xbf{"name": "A", "slug": "a"}', "BOM"),
        (b'{"name": "A", "slug": "a", "n": ' + b"1" * 5_000 + b"}", "Exceeds the limit"),
        (b'{"name": "A", "slug": "a", "n": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "nested more than 100 levels"),
        (b'{"name": "A", "slug": "a", "n": ' + b'{"n":' * 10_000 + b"1" + b"}" * 10_001, "nested more than 100 levels"),
        (b"{'name': 1}", "Expecting property name"),
    ],
)
async def test_a_body_that_can_not_be_read_in_one_way_only_is_refused_with_the_reason(
    acme: Tenant, body: bytes, reason: str
) -> None:
    response = await acme.client.post("/projects", content=body, headers=JSON)

    assert response.status_code == 400
    assert response.json()["code"] == "malformed_json"
    assert reason in response.json()["detail"]


async def test_the_same_name_in_two_objects_is_no_repetition(acme: Tenant) -> None:
    body = (
        f'{{"agent_id": "{acme.agent["id"]}", "input": {{"message": "x", "context": {{"a": {{"a": [{{"a": 1}}]}}}}}}}}'
    )

    response = await acme.client.post("/executions", content=body, headers=JSON)

    assert response.status_code == 201
    assert response.json()["input"]["context"] == {"a": {"a": [{"a": 1}]}}


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"n":', "}")])
async def test_a_hundred_levels_are_not_too_many_and_one_more_is(acme: Tenant, opening: str, closing: str) -> None:
    most = 100 - 3
    bodies = [
        f'{{"agent_id": "{acme.agent["id"]}", "input": {{"message": "x", "context": {{"c":'
        f"{opening * levels}1{closing * levels}}}}}}}"
        for levels in (most, most + 1)
    ]

    answers = [await acme.client.post("/executions", content=body, headers=JSON) for body in bodies]

    assert [answer.status_code for answer in answers] == [201, 400]


async def test_brackets_in_text_and_side_by_side_are_no_levels(acme: Tenant) -> None:
    brackets = '[{\\"' * 1_000
    body = (
        f'{{"agent_id": "{acme.agent["id"]}", "input": {{"message": "{brackets}",'
        f' "context": {{"side by side": [{"[], " * 1_000}{{}}]}}}}}}'
    )

    response = await acme.client.post("/executions", content=body, headers=JSON)

    assert response.status_code == 201

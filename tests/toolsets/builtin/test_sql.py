from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from control_plane.embedded.postgres import Postgres
from toolsets import Retryable, SettingsInvalid, ToolFailed
from toolsets.builtin.sql import sql
from toolsets.builtin.sql_values import MAX_VALUE_CHARACTERS
from toolsets.testing import call, conforms

pytestmark = pytest.mark.integration

PASSWORD = "of-the-shop"
SHOP = """
CREATE SCHEMA private;
CREATE TABLE products (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, price numeric(8, 2) DEFAULT 1,
    details jsonb, added timestamptz DEFAULT '2026-01-02 03:04:05+00', tags text[], image bytea
);
COMMENT ON TABLE products IS 'What can be bought';
COMMENT ON COLUMN products.price IS 'In euros';
CREATE TABLE private.salaries (name text, amount int);
INSERT INTO products (name, price, details, tags, image) VALUES ('tea', 3.50, '{"hot": true}', '{a,b}', '\\x00ff');
CREATE FUNCTION sell() RETURNS int LANGUAGE sql AS 'UPDATE products SET price = 0 RETURNING 1';
CREATE ROLE shopkeeper LOGIN PASSWORD 'of-the-shop';
GRANT ALL ON products TO shopkeeper;
GRANT CREATE ON SCHEMA public TO shopkeeper;
"""


@pytest.fixture(scope="module")
def shop(postgres: Postgres) -> Any:
    """The address of a database for a login without special rights."""
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE shop")
    with psycopg.connect(postgres.url(database="shop"), autocommit=True) as connection:
        connection.execute(SHOP)
    yield postgres.url(login="shopkeeper", password=PASSWORD, database="shop")
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("DROP DATABASE shop WITH (FORCE)")
        connection.execute("DROP ROLE shopkeeper")


@pytest.fixture
def run(shop: str) -> Callable[..., Any]:
    async def called(tool: str, statement: str | None = None, *, settings: Any = None, **arguments: Any) -> Any:
        given = {"statement": statement, **arguments} if statement is not None else arguments
        return await call(sql, tool, settings=settings, secrets={"database_url": shop}, **given)

    return called


@pytest.fixture
def price(shop: str) -> Callable[[], Any]:
    def read() -> Any:
        with psycopg.connect(shop) as connection:
            return connection.execute("SELECT name, price::text FROM products ORDER BY id").fetchall()

    return read


def test_it_keeps_the_contract() -> None:
    conforms(sql)


def test_each_tool_says_what_it_does_to_the_world() -> None:
    effects = {name.removeprefix("sql_"): (tool.effect, tool.idempotent) for name, tool in sql.tools.items()}

    assert effects == {
        "query": ("read", True),
        "explain": ("read", True),
        "tables": ("read", True),
        "describe": ("read", True),
        "execute": ("destroy", False),
    }


async def test_rows_are_read_as_json(run: Callable[..., Any]) -> None:
    found = await run("query", "SELECT *, 'NaN'::float8 AS nan, null AS nothing, 1 = 1 AS yes FROM products")

    assert found == {
        "columns": ["id", "name", "price", "details", "added", "tags", "image", "nan", "nothing", "yes"],
        "rows": [
            [1, "tea", "3.50", {"hot": True}, "2026-01-02T03:04:05+00:00", ["a", "b"], "\\x00ff", "nan", None, True]
        ],
        "more": False,
    }


@pytest.mark.parametrize(
    "statement",
    [
        "WITH a AS (SELECT 1 AS x) SELECT x FROM a",
        "VALUES (1)",
        "  -- why\n /* not */ SELECT 1",
        "SELECT 1;",
        "SELECT lo_price FROM (SELECT 1 AS lo_price) a",
    ],
)
async def test_every_kind_of_query_is_understood(run: Callable[..., Any], statement: str) -> None:
    found = await run("query", statement)

    assert found["rows"] == [[1]]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE products SET price = 0",
        "WITH a AS (DELETE FROM products RETURNING 1) SELECT * FROM a",
        "SELECT 1; DELETE FROM products",
        "SELECT sell()",
        "SELECT * FROM products FOR UPDATE",
        "SELECT * INTO other FROM products",
        "COPY products TO PROGRAM 'touch hit'",
        "COPY products TO STDOUT",
        "COMMIT",
        "SET transaction_read_only = off",
        "DO $$ BEGIN UPDATE products SET price = 0; END $$",
        "CALL anything()",
        "EXPLAIN ANALYZE UPDATE products SET price = 0",
        "TRUNCATE products",
        "SELECT set_config('transaction_read_only', 'off', true)",
        "SELECT nextval('products_id_seq')",
        "SELECT pg_terminate_backend(1)",
        "SELECT PG_TERMINATE_BACKEND (1)",
        'SELECT "pg_terminate_backend"(1)',
        'SELECT U&"pg\\005fterminate_backend"(1)',
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_catalog.pg_ls_dir('/')",
        "SELECT lo_export(1, '/tmp/hit')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT dblink('host=169.254.169.254', 'select 1')",
        "SELECT query_to_xml('UPDATE products SET price = 0', true, true, '')",
        "SELECT pg_notify('events', 'x')",
        "SELECT pg_advisory_lock(1)",
        "SELECT * FROM private.salaries",
        "SELEC 1",
        "",
    ],
)
async def test_a_query_does_nothing_but_read(run: Callable[..., Any], price: Callable[[], Any], statement: str) -> None:
    with pytest.raises(ToolFailed, match=r"PostgreSQL refused|can't be used here"):
        await run("query", statement, settings={"writable": True})

    assert price() == [("tea", "3.50")]


async def test_a_plan_is_shown_without_being_carried_out(run: Callable[..., Any], price: Callable[[], Any]) -> None:
    plan = await run("explain", "SELECT * FROM products WHERE id = 1")
    with pytest.raises(ToolFailed, match="syntax error"):
        await run("explain", "ANALYZE DELETE FROM products")

    assert "on products" in plan
    assert price() == [("tea", "3.50")]


async def test_tables_that_can_be_read_are_listed_and_described(run: Callable[..., Any]) -> None:
    listed = await run("tables")
    described = await run("describe", table="products")

    assert [(table["schema"], table["name"], table["comment"]) for table in listed] == [
        ("public", "products", "What can be bought")
    ]
    assert [column["name"] for column in described["columns"]][:3] == ["id", "name", "price"]
    assert described["columns"][2]["type"] == "numeric(8,2)"
    assert described["columns"][2]["comment"] == "In euros"
    assert {constraint["definition"] for constraint in described["constraints"]} >= {
        "PRIMARY KEY (id)",
        "UNIQUE (name)",
    }
    assert len(described["indexes"]) == 2


@pytest.mark.parametrize("table", ["nothing", "private.salaries", "a; drop", "", "pg_catalog.pg_authid"])
async def test_a_table_that_can_not_be_read_is_not_described(run: Callable[..., Any], table: str) -> None:
    with pytest.raises(ToolFailed, match=r"There is no table|PostgreSQL refused"):
        await run("describe", table=table)


async def test_other_schemas_are_neither_listed_nor_described(run: Callable[..., Any]) -> None:
    settings = {"schemas": ["private"]}

    listed = await run("tables", settings=settings)
    with pytest.raises(ToolFailed, match="There is no table"):
        await run("describe", table="public.products", settings=settings)
    with pytest.raises(ToolFailed, match='relation "products" does not exist'):
        await run("query", "SELECT * FROM products", settings=settings)

    assert listed == []


async def test_rows_are_bounded(run: Callable[..., Any]) -> None:
    found = await run("query", "SELECT n FROM generate_series(1, 100000) n", settings={"max_rows": 250})

    assert (len(found["rows"]), found["rows"][-1], found["more"]) == (250, [250], True)


async def test_large_values_are_bounded(run: Callable[..., Any]) -> None:
    found = await run("query", "SELECT repeat('x', 50000)")

    assert found["rows"][0][0] == "x" * MAX_VALUE_CHARACTERS + "… (cut: the first 20000 of 50000 characters)"


async def test_a_statement_that_takes_too_long_is_ended(run: Callable[..., Any], shop: str) -> None:
    with pytest.raises(ToolFailed, match=r"statement timeout|took too long"):
        await run("query", "SELECT pg_sleep(100)", settings={"timeout_seconds": 0.3})

    with psycopg.connect(shop) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)%' AND pid <> pg_backend_pid()"
            " AND state = 'active'"
        ).fetchone() == (0,)


async def test_nothing_is_changed_unless_the_settings_allow_it(
    run: Callable[..., Any], price: Callable[[], Any]
) -> None:
    with pytest.raises(ToolFailed, match="can only be read here"):
        await run("execute", "UPDATE products SET price = 0")

    assert price() == [("tea", "3.50")]


async def test_a_change_is_committed_where_it_is_allowed(run: Callable[..., Any], price: Callable[[], Any]) -> None:
    added = await run(
        "execute", "INSERT INTO products (name) VALUES ('cake') RETURNING name", settings={"writable": True}
    )
    seen = price()
    deleted = await run("execute", "DELETE FROM products WHERE name = 'cake'", settings={"writable": True})

    assert added == {"columns": ["name"], "rows": [["cake"]], "more": False, "status": "INSERT 0 1"}
    assert seen == [("tea", "3.50"), ("cake", "1.00")]
    assert deleted["status"] == "DELETE 1"


@pytest.mark.parametrize(
    "statement",
    [
        "DO $$ BEGIN END $$",
        "COPY products FROM STDIN",
        "SET ROLE other",
        "BEGIN",
        "/* */ CALL x()",
        "DELETE FROM products; DELETE FROM products",
        "UPDATE products SET name = pg_read_file('/etc/passwd')",
    ],
)
async def test_other_statements_are_refused_where_changes_are_allowed(
    run: Callable[..., Any], price: Callable[[], Any], statement: str
) -> None:
    with pytest.raises(ToolFailed, match=r"must begin with|PostgreSQL refused|can't be used here"):
        await run("execute", statement, settings={"writable": True})

    assert price() == [("tea", "3.50")]


async def test_a_superuser_is_not_used_unless_that_is_allowed(postgres: Postgres) -> None:
    secrets = {"database_url": postgres.url()}

    with pytest.raises(ToolFailed, match=r"may act as .*postgres"):
        await call(sql, "query", secrets=secrets, statement="SELECT 1")
    allowed: Any = await call(sql, "query", settings={"privileged": True}, secrets=secrets, statement="SELECT 1")

    assert allowed["rows"] == [[1]]


async def test_a_login_that_may_become_a_strong_one_is_not_used(run: Callable[..., Any], postgres: Postgres) -> None:
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("GRANT pg_read_server_files TO shopkeeper")

    with pytest.raises(ToolFailed, match="pg_read_server_files"):
        await run("query", "SELECT 1")

    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("REVOKE pg_read_server_files FROM shopkeeper")


async def test_the_secret_can_have_another_name(shop: str) -> None:
    found: Any = await call(
        sql, "query", settings={"secret": "shop_url"}, secrets={"shop_url": shop}, statement="SELECT 1"
    )

    assert found["rows"] == [[1]]


@pytest.mark.parametrize("address", ["nonsense://user:hunter2@host/x", "postgresql://u:hunter2@h:port/x", "hunter2"])
async def test_an_address_that_is_none_is_explained_without_being_told(address: str) -> None:
    with pytest.raises(ToolFailed) as failure:
        await call(sql, "query", secrets={"database_url": address}, statement="SELECT 1")

    assert "hunter2" not in str(failure.value)


async def test_a_database_that_is_away_may_be_tried_again() -> None:
    with pytest.raises(Retryable, match="can't be reached"):
        await call(
            sql,
            "query",
            secrets={"database_url": "postgresql://u:p@127.0.0.1:1/x?sslmode=disable"},
            statement="SELECT 1",
        )


async def test_a_wrong_password_is_told(shop: str) -> None:
    with pytest.raises(ToolFailed, match="password authentication failed"):
        await call(sql, "query", secrets={"database_url": shop.replace(PASSWORD, "another")}, statement="SELECT 1")


@pytest.mark.parametrize("setting", [{"schemas": ['a"b']}, {"secret": "a b"}, {"max_rows": 0}, {"read_only": True}])
def test_wrong_settings_are_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(SettingsInvalid):
        sql.configured(setting)

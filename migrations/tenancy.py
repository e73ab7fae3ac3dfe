"""What makes a table the property of one organization, for use in revisions."""

from alembic import op

APPLICATION_ROLE = "control_plane_app"
SYSTEM_ROLE = "control_plane_system"

_CURRENT = "(SELECT NULLIF(current_setting('app.organization_id', true), '')::uuid)"


def protect(table: str, *, grants: str = "SELECT, INSERT, UPDATE, DELETE", column: str = "organization_id") -> None:
    """Let the application role see and write only the rows of the organization that its transaction has entered."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY organization ON {table} TO {APPLICATION_ROLE} "
        f"USING ({column} = {_CURRENT}) WITH CHECK ({column} = {_CURRENT})"
    )
    op.execute(f"GRANT {grants} ON {table} TO {APPLICATION_ROLE}")


def let_system_read(table: str, *, columns: str) -> None:
    """Let the functions that work across organizations read these columns of a table, and nothing more."""
    op.execute(f"CREATE POLICY system ON {table} FOR SELECT TO {SYSTEM_ROLE} USING (true)")
    op.execute(f"GRANT SELECT ({columns}) ON {table} TO {SYSTEM_ROLE}")


def system_function(signature: str, *, returns: str, body: str) -> None:
    """A function that the application may call and that runs as the system role: the only way across organizations."""
    name = signature.split("(", 1)[0]
    op.execute(
        f"CREATE FUNCTION {signature} RETURNS {returns} LANGUAGE sql STABLE SECURITY DEFINER "
        f"SET search_path = public, pg_temp AS $body$ {body} $body$"
    )
    op.execute(f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {name} TO {APPLICATION_ROLE}")
    op.execute(f"ALTER FUNCTION {name} OWNER TO {SYSTEM_ROLE}")

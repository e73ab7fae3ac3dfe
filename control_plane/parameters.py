"""Query parameters that a route doesn't know are refused: a misspelt filter would find everything."""

from fastapi import Request
from fastapi.dependencies.models import Dependant

from control_plane.problems import Invalid


async def only_known(request: Request) -> None:
    """Raise `Invalid` for a query parameter that the route of the request doesn't declare."""
    if not request.scope["query_string"]:
        return
    known = _declared(request.scope["route"].dependant)
    unknown = [name for name in request.query_params if name not in known]
    if not unknown:
        return
    offer = f"Known are {', '.join(sorted(known))}." if known else "There are none here."
    named = ", ".join(f"`{name[:100]}`" for name in unknown[:10])
    problem = Invalid(f"The query has parameters that are not known here: {named}. {offer}")
    problem.errors = [
        {"location": f"query.{name[:100]}", "message": f"`{name[:100]}` is not known here. {offer}", "code": "unknown"}
        for name in unknown[:10]
    ]
    raise problem


def _declared(dependant: Dependant) -> set[str]:
    own = {field.alias for field in dependant.query_params}
    return own.union(*(_declared(below) for below in dependant.dependencies))

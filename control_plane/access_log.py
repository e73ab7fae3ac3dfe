"""What uvicorn writes down of each request: who, what and how it ended, and nothing that a query carries.

A query may hold what nobody should read in a log, the code of a sign-in for one.
"""

import logging


class _WithoutQuery(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) == _PARTS:
            client, method, target, version, status = record.args
            record.args = (client, method, str(target).partition("?")[0], version, status)
        return True


_PARTS = 5
"""Address of the client, method, path with query, HTTP version and status, as uvicorn's formatter takes them too."""

_FILTER = _WithoutQuery()


def install() -> None:
    """Have this process's access log leave queries out. Repeating it changes nothing."""
    logging.getLogger("uvicorn.access").addFilter(_FILTER)

import logging

import pytest
from uvicorn.logging import AccessFormatter

from control_plane import access_log
from control_plane.llm import loading

pytestmark = pytest.mark.unit

WRITTEN = '%s - "%s %s HTTP/%s" %d'


@pytest.fixture
def logger() -> logging.Logger:
    access_log.install()
    access_log.install()
    return logging.getLogger("uvicorn.access")


def written(logger: logging.Logger, *values: object) -> str:
    record = logger.makeRecord(logger.name, logging.INFO, __file__, 1, WRITTEN, values, None)
    logger.filter(record)
    return AccessFormatter(use_colors=False, fmt="%(client_addr)s %(request_line)s %(status_code)s").format(record)


def test_a_request_is_written_down_without_its_query(logger: logging.Logger) -> None:
    line = written(logger, "10.0.0.1:4711", "GET", "/auth/callback?code=letmein&state=x", "1.1", 302)

    assert line == "10.0.0.1:4711 GET /auth/callback HTTP/1.1 302 Found"


def test_one_filter_is_enough_for_the_process(logger: logging.Logger) -> None:
    loading.loaded()

    assert len(logger.filters) == 1

import base64
import logging
from typing import Any

import pytest

from flows.blotting import Blotter, blotted_logs

pytestmark = pytest.mark.unit

VALUE = 'pa"ss/wörd+1'


@pytest.fixture
def blotter() -> Blotter:
    """It knows one secret."""
    made = Blotter()
    made.remember("key", VALUE)
    return made


@pytest.mark.parametrize(
    "form",
    [
        VALUE,
        "pa%22ss%2Fw%C3%B6rd%2B1",
        'pa\\"ss/w\\u00f6rd+1',
        'pa\\"ss/wörd+1',
        base64.b64encode(VALUE.encode()).decode(),
        VALUE.encode().hex(),
    ],
)
def test_a_value_is_blotted_out_however_it_is_written(blotter: Blotter, form: str) -> None:
    assert blotter.text(f"before {form} after") == "before [secret key] after"


@pytest.mark.parametrize(
    ("value", "blotted"),
    [
        ({"a": [VALUE, 1]}, {"a": ["[secret key]", 1]}),
        ({VALUE: None}, {"[secret key]": None}),
        (f"x{VALUE}{VALUE}y", "x[secret key][secret key]y"),
        ([True, 1.5, None, "plain"], [True, 1.5, None, "plain"]),
    ],
)
def test_it_is_blotted_out_of_every_part_of_a_value(blotter: Blotter, value: Any, blotted: Any) -> None:
    assert blotter.value(value) == blotted


def test_a_number_that_is_a_secret_is_blotted_out() -> None:
    blotter = Blotter()
    blotter.remember("pin", "48151623")

    assert blotter.value({"pin": 48151623, "other": 4}) == {"pin": "[secret pin]", "other": 4}


def test_the_lines_of_a_long_secret_are_blotted_out_one_by_one() -> None:
    blotter = Blotter()
    blotter.remember("pem", "-----BEGIN-----\nMIIEvQIBADANBgkqh\nxyz\n-----END-----\n")

    assert blotter.text("  MIIEvQIBADANBgkqh\n  xyz") == "  [secret pem]\n  xyz"


def test_of_two_secrets_the_longer_is_blotted_out_first() -> None:
    blotter = Blotter()
    blotter.remember("short", "sesame")
    blotter.remember("long", "open sesame now")

    assert blotter.text("open sesame now, sesame") == "[secret long], [secret short]"


def test_a_very_short_secret_is_left_in_texts() -> None:
    blotter = Blotter()
    blotter.remember("bit", "1")

    assert blotter.text("1 of 10") == "1 of 10"


def test_it_is_blotted_out_of_what_anybody_logs(blotter: Blotter, caplog: pytest.LogCaptureFixture) -> None:
    with blotted_logs(blotter):
        logging.getLogger("a.library").warning("GET https://example.com?key=%s %d", VALUE, 200)
        logging.getLogger("a.library").warning("it failed", exc_info=ValueError(VALUE))
    before = logging.getLogRecordFactory()

    assert "GET https://example.com?key=[secret key] 200" in caplog.text
    assert "ValueError: [secret key]" in caplog.text
    assert VALUE not in caplog.text
    assert before is logging.LogRecord


def test_a_record_whose_arguments_do_not_fit_hurts_nobody(blotter: Blotter, caplog: pytest.LogCaptureFixture) -> None:
    with blotted_logs(blotter):
        logging.getLogger("a.library").warning("%d nails", VALUE)

    assert caplog.messages == ["%d nails ('[secret key]',)"]

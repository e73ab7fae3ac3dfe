import re
from xml.etree import ElementTree as ET

import pytest

from benchmarks.waterfall import waterfall

pytestmark = pytest.mark.unit

SVG = "{http://www.w3.org/2000/svg}"


def bars(picture: str) -> list[tuple[float, float]]:
    """Where each bar begins, and how long it is."""
    found = ET.fromstring(picture).iter(f"{SVG}rect")
    return [(float(bar.attrib["x"]), float(bar.attrib["width"])) for bar in found if bar.attrib["class"] == "bar"]


def test_each_step_begins_where_the_one_before_ends() -> None:
    (first, a), (second, b), (third, c) = bars(waterfall("Way", {"one": 10.0, "two": 30.0, "three": 40.0}))

    assert second == pytest.approx(first + a, abs=0.2)
    assert third == pytest.approx(second + b, abs=0.2)
    assert [b / a, c / a] == pytest.approx([2, 1], abs=0.01)


def test_each_step_says_how_long_it_took() -> None:
    picture = waterfall("Way", {"one": 10.0, "two": 30.5})

    assert re.findall(r">([\d.]+ ms)</text>", picture)[-2:] == ["10.0 ms", "20.5 ms"]


def test_a_step_that_seems_to_end_before_it_began_takes_nothing() -> None:
    picture = waterfall("Way", {"one": 10.0, "two": 9.0, "three": 20.0})

    assert re.findall(r">([\d.]+ ms)</text>", picture)[-3:] == ["10.0 ms", "0.0 ms", "10.0 ms"]


def test_a_name_is_no_markup() -> None:
    picture = waterfall("<Way>", {"a < b": 10.0})

    assert "a < b" in [text.text for text in ET.fromstring(picture).iter(f"{SVG}text")]

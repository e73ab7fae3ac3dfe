import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from toolset_weather import weather
from toolsets import Retryable, SettingsInvalid, ToolFailed
from toolsets.testing import call, conforms

BERN = {
    "name": "Bern",
    "main": {"temp": 3.5},
    "wind": {"speed": 2.1},
    "weather": [{"description": "light rain"}, {"description": "mist"}],
}


class OpenWeather(BaseHTTPRequestHandler):
    """Answers as OpenWeather does: `status` and `body`, or 401 for a key that it doesn't know."""

    status = 200
    body: Any = BERN
    asked: ClassVar[list[dict[str, list[str]]]] = []

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.asked.append(query)
        status = self.status if query["appid"] == ["a-key"] else 401
        self.send_response(status)
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(json.dumps(self.body).encode())

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A local OpenWeather; its URL."""
    monkeypatch.setattr(OpenWeather, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), OpenWeather) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def ask(service: str, city: str = "Bern,CH", *, key: str = "a-key", **settings: Any) -> Any:
    settings = {"url": service} | settings
    return await call(weather, "current", settings=settings, secrets={"openweather": key}, city=city)


def test_it_keeps_the_contract_of_toolsets() -> None:
    conforms(weather)


async def test_the_weather_is_told_in_few_words(service: str) -> None:
    told = await ask(service)

    assert told == {"city": "Bern", "temperature": 3.5, "wind": 2.1, "description": "light rain, mist"}


async def test_the_units_are_those_of_the_settings(service: str) -> None:
    await ask(service, units="imperial")

    assert [query["units"] for query in OpenWeather.asked] == [["imperial"]]


async def test_a_city_that_may_not_be_asked_for_is_not(service: str) -> None:
    with pytest.raises(ToolFailed, match="Ask for one of: Bern,CH"):
        await ask(service, "Paris,FR", places=["Bern,CH"])

    assert OpenWeather.asked == []


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_may_pass_can_be_tried_again(service: str, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr(OpenWeather, "status", status)

    with pytest.raises(Retryable):
        await ask(service)


async def test_how_long_to_wait_is_what_the_service_says(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenWeather, "status", 429)

    with pytest.raises(Retryable) as caught:
        await ask(service)

    assert caught.value.after_seconds == 7


async def test_a_service_that_is_not_there_can_be_tried_again() -> None:
    with pytest.raises(Retryable, match="doesn't answer"):
        await ask("http://127.0.0.1:1")


@pytest.mark.parametrize(("status", "told"), [(404, "knows no city Bern,CH"), (400, "refused")])
async def test_what_will_not_pass_is_told_to_the_model(
    service: str, monkeypatch: pytest.MonkeyPatch, status: int, told: str
) -> None:
    monkeypatch.setattr(OpenWeather, "status", status)

    with pytest.raises(ToolFailed, match=told) as caught:
        await ask(service)

    assert not isinstance(caught.value, Retryable)


async def test_a_wrong_key_is_not_told(service: str) -> None:
    with pytest.raises(ToolFailed, match="should look at its key") as caught:
        await ask(service, key="wrong-key")

    assert "wrong-key" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "ftp://example.com", "https://"])
def test_a_url_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="must be an http or https URL"):
        weather.configured({"url": url})


async def test_wind_makes_cold_air_feel_colder() -> None:
    assert await call(weather, "wind_chill", celsius=0, kilometers_per_hour=30) == -6.5


async def test_warm_air_has_no_wind_chill() -> None:
    with pytest.raises(ToolFailed, match="Use the air temperature instead"):
        await call(weather, "wind_chill", celsius=20)

"""What it is like outside, by OpenWeather."""

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, field_validator

from toolsets import Retryable, ToolContext, ToolFailed, Toolset, hookimpl

PATIENCE_SECONDS = 10.0


class WeatherSettings(BaseModel):
    """What whoever runs an environment decides. `places` are the only cities that may be asked for; none: all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    units: Literal["metric", "imperial"] = "metric"
    places: tuple[str, ...] = ()
    url: str = "https://api.openweathermap.org"

    @field_validator("url")
    @classmethod
    def _has_a_host(cls, url: str) -> str:
        if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
            raise ValueError("must be an http or https URL")
        return url


def _hosts(settings: WeatherSettings) -> Sequence[str]:
    return [urlsplit(settings.url).hostname or ""]


weather = Toolset(
    "weather",
    description="What it is like outside.",
    settings=WeatherSettings,
    secrets=["openweather"],
    hosts=_hosts,
    requires=">=0.1,<1",
)


@weather.tool(effect="read", timeout=30)
async def current(context: ToolContext[WeatherSettings], city: str) -> dict[str, Any]:
    """Tell the weather in a city as it is now: temperature, wind and a description. Name the country, too: Bern,CH."""
    _refuse_unless_allowed(context.settings, city)
    await context.progress(f"asking for the weather in {city}")
    async with httpx.AsyncClient(base_url=context.settings.url, timeout=PATIENCE_SECONDS) as http:
        found = await _asked(http, q=city, units=context.settings.units, appid=await context.secret("openweather"))
    return {
        "city": found["name"],
        "temperature": found["main"]["temp"],
        "wind": found["wind"]["speed"],
        "description": ", ".join(each["description"] for each in found["weather"]),
    }


@weather.tool(effect="read")
def wind_chill(_: ToolContext[WeatherSettings], celsius: float, kilometers_per_hour: float = 5.0) -> float:
    """Tell how cold the wind makes it feel, in degrees Celsius."""
    if celsius > 10:
        raise ToolFailed("Wind chill is defined up to 10 degrees Celsius. Use the air temperature instead.")
    wind = kilometers_per_hour**0.16
    return round(13.12 + 0.6215 * celsius - 11.37 * wind + 0.3965 * celsius * wind, 1)


def _refuse_unless_allowed(settings: WeatherSettings, city: str) -> None:
    if settings.places and city.casefold() not in {place.casefold() for place in settings.places}:
        raise ToolFailed(f"{city} may not be asked for here. Ask for one of: {', '.join(settings.places)}.")


async def _asked(http: httpx.AsyncClient, **query: str) -> Any:
    try:
        response = await http.get("/data/2.5/weather", params=query)
    except httpx.TransportError as error:
        raise Retryable(f"OpenWeather doesn't answer ({type(error).__name__}).") from error
    match response.status_code:
        case 200:
            return response.json()
        case 404:
            raise ToolFailed(f"OpenWeather knows no city {query['q']}. Check how it is written, and name the country.")
        case 429:
            seconds = float(response.headers.get("Retry-After", "1"))
            raise Retryable("OpenWeather has been asked too often.", after_seconds=seconds)
        case status if status >= 500:
            raise Retryable(f"OpenWeather has a fault ({status}).")
        case status:
            raise ToolFailed(f"OpenWeather refused ({status}). Whoever runs the environment should look at its key.")


@hookimpl
def register_toolset() -> Toolset:
    """The toolset `weather`."""
    return weather

"""A provider of models as short as can be, so that what is measured is the way to it.

`python -m benchmarks.model_provider PORT` streams `words` chunks of OpenAI's chat completions, one every
`pace` milliseconds, as the name of the model says: `words-50-pace-0`. The time stands in each chunk.
"""

import asyncio
import json
import sys
import time

import uvicorn
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

_HEAD = '{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":'
_USAGE = '"usage":{"prompt_tokens":10,"completion_tokens":50,"total_tokens":60}'
_END = (
    f'data: {_HEAD}[{{"index":0,"delta":{{}},"finish_reason":"stop"}}]}}\n\n'
    f"data: {_HEAD}[],{_USAGE}}}\n\n"
    "data: [DONE]\n\n"
)


async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """Answer any request as its model's name says."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    _, words, _, pace = json.loads(body)["model"].split("-")
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": False})
    for _ in range(int(words)):
        choice = f'[{{"index":0,"delta":{{"content":"{time.time():.6f} "}},"finish_reason":null}}]'
        await _send(send, f"data: {_HEAD}{choice}}}\n\n", more=True)
        await asyncio.sleep(int(pace) / 1000)
    await _send(send, _END, more=False)


async def _send(send: ASGISendCallable, text: str, *, more: bool) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": more})


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", timeout_keep_alive=75)

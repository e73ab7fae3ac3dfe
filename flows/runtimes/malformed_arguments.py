"""Arguments that are no JSON object, on their way back to the model.

In a conversation a provider reads what the model has called before, and some refuse what they can't parse.
"""

import json

_KEY = "not_a_json_object"


def as_object(arguments: str) -> str:
    """The arguments as they are, or in an object of their own if they are none."""
    try:
        if isinstance(json.loads(arguments or "{}"), dict):
            return arguments or "{}"
    except (ValueError, RecursionError):
        pass
    return json.dumps({_KEY: arguments})


def as_written(arguments: str) -> str:
    """What the model had written, from what `as_object` made of it."""
    try:
        parsed = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    if isinstance(parsed, dict) and parsed.keys() == {_KEY} and isinstance(parsed[_KEY], str):
        return str(parsed[_KEY])
    return arguments

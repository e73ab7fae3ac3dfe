import pytest
from pydantic import ValidationError

from control_plane.wire.plan import ExecutionInput

pytestmark = pytest.mark.unit


def test_an_error_of_validation_does_not_show_what_was_to_be_validated() -> None:
    with pytest.raises(ValidationError) as caught:
        ExecutionInput.model_validate({"message": ["canary"], "context": "canary"})

    assert "canary" not in str(caught.value)

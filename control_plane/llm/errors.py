"""What can go wrong with a model. Each dialect has its own shape for it; see `dialects`."""


class ModelError(Exception):
    """A model didn't answer. `str()` says what to do; `code` is stable; `headers` go out with it."""

    def __init__(self, message: str, *, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}

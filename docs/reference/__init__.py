"""The API reference, a page for each subject, made from the OpenAPI document by `make docs`.

No library for this on PyPI can be told which permission a route needs, and most print whole JSON schemas.
"""

"""The policies that come with the product."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

from control_plane.wire.plan import PolicyPlan

VERSIONS = {"no_destructive_tools": 1, "read_only": 1, "require_approval_for_prod": 1}
"""Raised by one with every change of a module, so that an old decision can be told from a new one."""


@cache
def bundled() -> Mapping[str, PolicyPlan]:
    """Each bundled policy by its name."""
    folder = files("policies") / "bundled"
    return MappingProxyType(
        {
            name: PolicyPlan(name=name, version=version, module=(folder / f"{name}.rego").read_text())
            for name, version in VERSIONS.items()
        }
    )

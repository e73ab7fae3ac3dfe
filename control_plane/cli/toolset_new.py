"""`control-plane toolset new`: a package to begin with."""

import re
from importlib.resources import files
from pathlib import Path
from string import Template

import typer

from control_plane.cli.failures import Failure
from toolsets import API_VERSION
from toolsets.registry import Registry

_TEMPLATE = "control_plane.cli.toolset_template"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")

_FILES = {
    "pyproject.toml.template": "pyproject.toml",
    "readme.md.template": "README.md",
    "toolset.py.template": "toolset_{name}.py",
    "tests.py.template": "tests/test_{name}.py",
}
"""From the name of each template to that of the file, in the folder of the package."""


def make(name: str, *, into: Path) -> None:
    """Write the package. Raises `Failure` if the name can't be one, or the folder is there."""
    if not _NAME.fullmatch(name):
        raise Failure(f"A toolset's name is up to 31 lower-case letters, digits and underscores, not {name!r}.")
    if name in Registry().names:
        raise Failure(f"A toolset {name} is installed here already, and there can be only one of a name.")
    folder = into / f"toolset-{name.replace('_', '-')}"
    if folder.exists():
        raise Failure(f"{folder} is there already. Choose another name, or another folder with --into.")
    values = {
        "name": name,
        "package": folder.name,
        "settings": "".join(word.title() for word in name.split("_")) + "Settings",
        "api": API_VERSION,
    }
    for template, file in _FILES.items():
        path = folder / file.format(name=name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = files(_TEMPLATE).joinpath(template).read_text(encoding="utf-8")
        path.write_text(Template(text).substitute(values), encoding="utf-8")
    typer.echo(f"Made {folder}. Next:")
    typer.echo(f"  pip install --editable '{folder}[test]'")
    typer.echo(f"  pytest {folder}")
    typer.echo(f"  control-plane toolset test {name}")

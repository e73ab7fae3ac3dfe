"""The control plane's server, its worker protocol and its command line."""

__version__ = "0.1.0"


def install_command(extra: str) -> str:
    """How to install one extra of this distribution.

    From a checkout: there is no release yet, and the package of this name on the public index is somebody else's.
    """
    return f"pip install '.[{extra}]' in a checkout of the control plane"

"""The control plane's server, its worker protocol and its command line."""

__version__ = "0.1.0"

"""Runtimes: the ways in which an agent's conversation can be driven."""

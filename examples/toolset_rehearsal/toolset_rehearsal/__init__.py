"""Toolsets that act on a make-believe platform, to rehearse agents and policies on."""

"""Runs a project's rules in podman containers, every architecture × configuration at once."""

from __future__ import annotations

__version__ = "0.2.0"

__all__ = ["__version__"]

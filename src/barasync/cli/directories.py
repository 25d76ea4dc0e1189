"""Where barasync keeps what belongs to a user and not to a project."""

from __future__ import annotations

from pathlib import Path

from platformdirs import user_cache_path

from barasync.engine.image_uses import UseFiles


def cache_directory() -> Path:
    """Return the directory of what can be made anew."""
    return user_cache_path("barasync")


def lock_directory() -> Path:
    """Return the directory of the locks that keep runs of this user apart.

    `clean --caches` has to look for them where runs have them.
    """
    return cache_directory() / "locks"


def use_files() -> UseFiles:
    """Return where it is noted which images are used, now and at last."""
    return UseFiles(uses=cache_directory() / "uses", locks=lock_directory())

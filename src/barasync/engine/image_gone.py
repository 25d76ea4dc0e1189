"""What is raised where podman has no image of an ID any more that it had before."""

from __future__ import annotations


class ImageGone(Exception):
    """The image was removed after it was prepared; nothing was created and nothing has run."""

"""How a project's files get into a container."""

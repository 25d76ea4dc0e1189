"""What a project's configuration says: found, read, checked, and laid in layers."""

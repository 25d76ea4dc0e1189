"""Sans-I/O parsers of what podman sends: bytes in, values out, no socket and no clock."""

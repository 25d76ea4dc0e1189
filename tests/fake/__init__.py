"""A libpod service for the faults that a real podman does not produce on demand.

It answers on a real unix socket, in a thread of its own, and runs the commands of its containers as
processes of this host, in a directory per container. What it does without faults is held to the
same contract as podman: `tests/contract` runs against it wherever no kernel is needed.

`service` is the whole, `faults` what can be made to go wrong, `api_*` the endpoints, `wire` HTTP,
`container`, `process` and `log` a container's life, `images` the storage.
"""

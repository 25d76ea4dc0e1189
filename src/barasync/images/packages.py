"""The script that installs packages in an image, whose package manager only the image knows."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from msgspec import UNSET, UnsetType

from barasync.config.schema import Toolchain
from barasync.images.toolchains import DEV, TOOLCHAINS, Family, Names

_NO_MANAGER = "this image has neither apt-get nor dnf, microdnf or apk to install packages with"

_SCRIPT = """\
set -eu
has() {{ command -v "$1" >/dev/null 2>&1; }}
left_out() {{ echo "$1 is not in this image's package index and is left out" >&2; }}
if has apt-get; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o APT::Update::Error-Mode=any -o Acquire::Retries=3 update
    set -- {debian}
    for name in {debian_optional}; do
        if apt-cache show "$name" >/dev/null 2>&1; then set -- "$@" "$name"; else left_out "$name"; fi
    done
    apt-get -o Acquire::Retries=3 install -y --no-install-recommends "$@"
    apt-get clean
    rm -rf /var/lib/apt/lists/*
elif has dnf || has microdnf; then
    if has dnf; then dnf=dnf; else dnf=microdnf; fi
    set -- {fedora}
    for name in {fedora_optional}; do
        case $("$dnf" repoquery "$name" 2>/dev/null) in
            *"$name"*) set -- "$@" "$name" ;;
            *) left_out "$name" ;;
        esac
    done
    "$dnf" install -y --setopt=install_weak_deps=0 "$@"
    "$dnf" clean all
elif has apk; then
    set -- {alpine}
    for name in {alpine_optional}; do
        if [ -n "$(apk --no-cache search -e -q "$name")" ]; then set -- "$@" "$name"; else left_out "$name"; fi
    done
    apk --no-cache add "$@"
else
    echo {no_manager} >&2
    exit 1
fi
"""  # noqa: E501 - lines of the script


def install_script(
    packages: Sequence[str], *, toolchain: Toolchain | UnsetType = UNSET, dev: bool = False
) -> str:
    """Return a script for `/bin/sh` as root that installs packages with the image's own manager.

    `packages` are called what the image's distribution calls them. What is recommended but not
    needed is left out, and so are the manager's caches. The script ends with the manager's exit
    code, or with 1 where there is none.
    """
    names = {family: wanted(family, packages, toolchain=toolchain, dev=dev) for family in Family}
    words = {f"{family}": shlex.join(each.required) for family, each in names.items()}
    optional = {f"{family}_optional": shlex.join(each.optional) for family, each in names.items()}
    return _SCRIPT.format(**words, **optional, no_manager=shlex.quote(_NO_MANAGER))


def wanted(
    family: Family,
    packages: Sequence[str],
    *,
    toolchain: Toolchain | UnsetType = UNSET,
    dev: bool = False,
) -> Names:
    """Return all that is to be installed in an image of `family`, nothing twice."""
    parts = [
        *([] if isinstance(toolchain, UnsetType) else [TOOLCHAINS[toolchain][family]]),
        *([DEV[family]] if dev else []),
        Names(tuple(packages)),
    ]
    required = dict.fromkeys(name for part in parts for name in part.required)
    optional = dict.fromkeys(name for part in parts for name in part.optional)
    return Names(tuple(required), tuple(name for name in optional if name not in required))

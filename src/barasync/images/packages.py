"""The script that installs packages in an image, whose package manager only the image knows."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from msgspec import UNSET, UnsetType

from barasync.config.schema import Toolchain
from barasync.images.toolchains import DEV, TOOLCHAINS, Family, Names

_NO_MANAGER = "this image has neither apt-get nor dnf, microdnf or apk to install packages with"

_SCRIPT = """\
set -eu
has() {{ command -v "$1" >/dev/null 2>&1; }}
if has apt-get; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o APT::Update::Error-Mode=any -o Acquire::Retries=3 update
    set -- {debian}
    apt-get -o Acquire::Retries=3 install -y --no-install-recommends "$@"
    apt-get clean
    rm -rf /var/lib/apt/lists/*
elif has dnf || has microdnf; then
    if has dnf; then dnf=dnf; else dnf=microdnf; fi
    set -- {fedora}
    "$dnf" install -y --setopt=install_weak_deps=0 "$@"
    "$dnf" clean all
elif has apk; then
    set -- {alpine}
    apk --no-cache add "$@"
else
    echo {no_manager} >&2
    exit 1
fi
"""

_OPTIONAL = """
    for name in {names}; do
        if {there}; then
            set -- "$@" "$name"
        else
            echo "$name is not in this image's package index and is left out" >&2
        fi
    done"""

_THERE: Mapping[Family, str] = {
    Family.DEBIAN: 'apt-cache show "$name" >/dev/null 2>&1',
    # microdnf has no way to ask but this, and some versions say more than the names.
    Family.FEDORA: '"$dnf" repoquery "$name" 2>/dev/null | grep -q "^$name-"',
    Family.ALPINE: '[ -n "$(apk --no-cache search -e -q "$name")" ]',
}


def install_script(
    packages: Sequence[str], *, toolchain: Toolchain | UnsetType = UNSET, dev: bool = False
) -> str:
    """Return a script for `/bin/sh` as root that installs packages with the image's own manager.

    `packages` are called what the image's distribution calls them. What is recommended but not
    needed is left out, and so are the manager's caches. The script ends with the manager's exit
    code, or with 1 where there is none.
    """
    words = {
        family.value: _words(family, wanted(family, packages, toolchain=toolchain, dev=dev))
        for family in Family
    }
    return _SCRIPT.format(**words, no_manager=shlex.quote(_NO_MANAGER))


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


def _words(family: Family, names: Names) -> str:
    """Return the arguments of `set --`, and the loop that adds those that are there."""
    words = shlex.join(names.required)
    if names.optional:
        words += _OPTIONAL.format(names=shlex.join(names.optional), there=_THERE[family])
    return words

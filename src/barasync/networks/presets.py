"""What each preset denies and allows, once a policy's own entries have decided nothing.

| preset     | denies                                      | allows                          |
|------------|---------------------------------------------|---------------------------------|
| `public`   | what is not global, metadata, the host,     | everything else                 |
|            | the container's own networks                |                                 |
| `private`  | metadata                                    | RFC 1918, fc00::/7, loopback    |
| `local`    |                                             | loopback                        |
| `isolated` | loopback                                    |                                 |

What remains is the policy's `default`. A cloud's metadata and the host itself are opened by a base,
or by an entry with their address: neither ports alone nor a default mean them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from barasync.config.policies import Address, Preset, Range
from barasync.config.ranges import PRIVATE
from barasync.networks import addresses


@dataclass(frozen=True, slots=True)
class Base:
    """Ranges that a preset denies, and those that it allows unless it denies them."""

    deny: tuple[Range, ...]
    allow: tuple[Range, ...]


def base(preset: Preset, host: Iterable[Address], links: Iterable[Range] = ()) -> Base:
    """Return the ranges of `preset` on a host with the addresses `host`.

    `links` are the networks that a container is on, where other containers are. They need not be
    of private addresses.
    """
    match preset:
        case Preset.PUBLIC:
            near = addresses.with_embedded(links)
            return Base((*addresses.NOT_GLOBAL, *_own(host), *near), addresses.EVERYTHING)
        case Preset.PRIVATE:
            return Base(
                addresses.with_embedded(addresses.METADATA),
                (*PRIVATE, *addresses.LOOPBACK),
            )
        case Preset.LOCAL:
            return Base((), addresses.LOOPBACK)
        case Preset.ISOLATED:
            return Base(addresses.LOOPBACK, ())


def guarded(host: Iterable[Address]) -> tuple[Range, ...]:
    """Return what is never meant by "everything else": metadata, and a host with addresses `host`.

    Credentials of the machine are behind the one, whatever the machine serves behind the other.
    """
    metadata = addresses.with_embedded(addresses.METADATA)
    return (*metadata, addresses.NAT64_OF_A_SITE, *_own(host))


def _own(host: Iterable[Address]) -> tuple[Range, ...]:
    return addresses.with_embedded(addresses.only(address) for address in host)

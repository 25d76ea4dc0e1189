"""Rows of `quirks`: networks."""

from __future__ import annotations

from barasync.aiopodman.quirk import Quirk

INTERFACE_NAMES_ARE_NOT_CHECKED = Quirk(
    name="interface-names-are-not-checked",
    trap="a network is made whatever its interface is called, and fails when it is used",
    workaround="networks.create refuses a name of more than 15 characters",
    evidence="measured on 4.3.1 and 5.4.2",
)
INTERFACES_ARE_COUNTED_APART = Quirk(
    name="interfaces-are-counted-apart",
    trap="each service of a host calls its bridges podman1, podman2, …, and of those that others"
    " have it passes over what is up at the moment alone",
    workaround="the caller names the interface by the network",
    evidence="measured on 4.3.1 and 5.4.2",
)
NETWORK_REMOVAL_WAITS = Quirk(
    name="network-removal-waits",
    trap="a network removed by force gives each container ten seconds, whatever it is asked for",
    workaround="the caller removes the containers first; networks.remove never forces",
    evidence="measured on 4.3.1 and 5.4.2: 10.1 to 10.4 s with a timeout of 0, 1 and none",
)
BRIDGE_CHANGES_ITS_ADDRESS = Quirk(
    name="bridge-changes-its-address",
    trap="a bridge changes its address as containers come and go; others lose packets for seconds",
    workaround="engine.enforcement has the bridge keep the address that it has",
    evidence="measured on 4.3.1: a connection took longer than 5 s; 5.4.2 sets the address",
    fixed=(5, 4, 2),
)
JOINED_CONTAINER_STAYS = Quirk(
    name="joined-container-stays",
    trap="a container whose namespace another has joined cannot be removed before it, not by force",
    workaround="remove takes `dependents`; remove_persistently asks for them",
    evidence="measured on 4.3.1 and 5.4.2",
)
JOINED_CONTAINER_HAS_NO_HOSTS = Quirk(
    name="joined-container-has-no-hosts",
    trap="a joined namespace comes with the owner's `/etc/hosts` only if it has an interface, and"
    " entries for the one that joins are refused",
    workaround="the caller creates with `image_hosts` and puts a file into the container",
    evidence="measured on 4.3.1 and 5.4.2",
)
REMOVAL_OF_DEPENDENTS_RACES = Quirk(
    name="removal-of-dependents-races",
    trap="removed with its dependents while those are removed, a container stays: with a 404, or"
    " among those that are said to be gone",
    workaround="remove_persistently looks whether it is there after a 404, and tries again; whoever"
    " removes what runs left lists them once more",
    evidence="measured on 4.3.1, with a 404, and on 5.4.2, in every other removal of three",
    on_demand=False,
)
RESOLVER_LISTENS_TOO_EARLY = Quirk(
    name="resolver-listens-too-early",
    trap="the first container on a network with names and IPv6 is refused where the kernel has not"
    " finished with the bridge's address when the resolver is started",
    workaround="ResolverFailed tells it apart; the caller begins anew a moment later",
    evidence="aardvark-dns #725; seen once on 5.4.2, and measured with duplicate address detection"
    " on the bridge; 4.3.1 goes on without a resolver at that address",
    since=(5, 0, 0),
)
DNS_SERVERS_GO_TO_THE_RESOLVER = Quirk(
    name="dns-servers-go-to-the-resolver",
    trap="on a network with names, the network's resolver asks a container's servers, outside",
    workaround="the caller makes a network without names for containers with servers of their own",
    evidence="measured on 5.4.2",
    since=(5, 0, 0),
)

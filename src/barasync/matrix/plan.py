"""A plan: every cell that a command will run, resolved, before anything is started."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from types import MappingProxyType

from msgspec import UNSET, structs

from barasync.config.caches import Cache, parse_cache
from barasync.config.layers import (
    Folded,
    Layer,
    command_line_layer,
    environment_layer,
    environment_notes,
    file_layer,
    fold,
)
from barasync.config.networks import check_network, parse_policies
from barasync.config.origin import Origin, dotted
from barasync.config.policies import Policy, PublishedPort
from barasync.config.publishing import published
from barasync.config.schema import WORKSPACE, CellTable, Document, WorkspaceMode
from barasync.config.spelling import did_you_mean
from barasync.config.values import SETTINGS, check_config_name
from barasync.config.volumes import Volume, parse_volume
from barasync.errors import ConfigError, NothingSelected
from barasync.matrix import axes, platforms
from barasync.matrix.axes import Combination, Requested, split_option
from barasync.matrix.cells import Cell
from barasync.matrix.command import VERBATIM, Reading, expand, may_be_rule
from barasync.matrix.multiplied import multiplied
from barasync.matrix.networks import require_networks
from barasync.matrix.notes import argument_notes, image_notes, name_notes, rule_notes
from barasync.matrix.platforms import Platform, short_name
from barasync.matrix.selection import select
from barasync.matrix.services import require_services

OF_SETTINGS = "-"
"""What stands for the image of the settings where `barasync run` takes an image."""

_MOUNTED: tuple[tuple[str, str, Callable[[str], Volume | Cache]], ...] = (
    ("volumes", "volume", parse_volume),
    ("caches", "cache", parse_cache),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a command line asks for.

    `document` is `None` where nothing says how cells are; `origin` says where it was read, and
    `in_project` whether a file was: without one there are no cells that have names. `options`
    holds the settings of the command line, whose relative paths start at the absolute `directory`;
    `environ` is the environment. `arch` and `config` are the values of those options as they were
    given, `a,b` in one or repeated; `select` and `exclude` are globs. `publish` are ports that
    cells publish besides those of their networks. Only with `allow_host_network` may a cell have
    the network of the host. Of a matrix `rules` are those that have a cell each, instead of `rule`,
    and `repeat` says how often each cell is there.
    """

    native: Platform
    rule: str = ""
    args: tuple[str, ...] = ()
    document: Document | None = None
    origin: Origin = field(default_factory=Origin)
    options: CellTable = field(default_factory=CellTable)
    directory: PurePath | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    arch: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    repeat: int | None = None
    allow_host_network: bool = False
    in_project: bool = True
    publish: tuple[PublishedPort, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The cells to run, in a fixed order; `rule` and `args` are for `matrix.command.expand`.

    from barasync.matrix.cells import Cell
    from barasync.matrix.command import VERBATIM, Reading, expand, may_be_rule, uses
    from barasync.matrix.multiplied import multiplied
    """

    rule: str
    args: tuple[str, ...]
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()
    as_command: Plan | None = None

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The network policies of the cells, each once."""
        found = (cell.policy for cell in self.cells)
        return tuple({each.name: each for each in found if each is not None}.values())


def plan(request: Request) -> Plan:
    """Return the plan of `barasync matrix RULE ARGS…`, or of `--rule-each RULE RULE…`.

    Raises:
        ConfigError: the configuration or an option is wrong, or a cell has no image.
        NothingSelected: the matrix or the selection leaves no cell.
    """
    if request.rules:
        request = replace(request, rule=shlex.join(request.rules))
    if not request.rule:
        raise ConfigError("RULE: the name of the rule is empty")
    document = request.document or Document()
    requested = _requested(request, document)
    expansion = axes.expand(document, request.origin, requested)
    if not expansion.combinations:
        raise NothingSelected(
            f"{request.origin.key('matrix')} leaves no cell of what was asked for",
            hint="see matrix.exclude, --arch and --config",
        )
    combinations = multiplied(expansion.combinations, rules=request.rules, times=request.repeat)
    named = {one.id: one for one in combinations}
    selection = select(tuple(named), request.select, request.exclude)
    settings = _Settings(document, request)
    cells = tuple(settings.cell(name, named[name]) for name in selection.ids)
    _require_images(cells, document, request.origin)
    _require_commands(cells, request)
    require_networks(cells, allow_host=request.allow_host_network)
    require_services(cells)
    _require_room(cells)
    _require_places(cells)
    notes = (
        *environment_notes(request.environ),
        *expansion.notes,
        *selection.notes,
        *image_notes(cells, document),
        *argument_notes(cells, request.args),
        *rule_notes(cells, request.rules),
    )
    return Plan(rule=request.rule, args=request.args, cells=cells, notes=notes)


def plan_run(
    request: Request, image: str, command: Sequence[str], reading: Reading = Reading.COMMAND
) -> Plan:
    """Return the plan of `barasync run IMAGE -- COMMAND…`: one cell that runs the words.

    `[defaults]` applies, and `[config.NAME]` with `--config NAME`, except their `command` and
    `artifacts` where the words are a command: those belong to the project's rules. The matrix does
    not apply. Without a command the image's own runs. An `image` that is `OF_SETTINGS` is that of
    the settings. `reading` says how the words are read.

    Raises:
        ConfigError: the configuration or an option is wrong, more than one cell is asked for, there
            is no such configuration, the settings have no image and were to, or no rule is named
            where one has to be.
    """
    document = request.document or Document()
    one = _requested_one(request, document)
    words = _Words(image=None if image == OF_SETTINGS else image, command=tuple(command))
    if reading is Reading.RULE:
        plan = _plan_rule(request, one, words)
        plan = replace(plan, notes=(*plan.notes, *argument_notes(plan.cells, plan.args)))
    else:
        plan = _plan_one(request, one, words)
        if reading is Reading.AUTO and may_be_rule(words.command):
            plan = replace(_plan_rule(request, one, words), as_command=plan)
    _require_images(plan.cells, document, request.origin, otherwise="name one in place of -")
    return replace(plan, notes=(*plan.notes, *image_notes(plan.cells, document)))


def plan_shell(request: Request, name: str, command: Sequence[str]) -> Plan:
    """Return the plan of `barasync shell CELL|IMAGE -- COMMAND…`: one cell, for a person.

    `name` is the ID of a cell of the matrix, which keeps its image, else an image; then the cell is
    that of `plan_run`. As there the words are verbatim, and none are the choice of whoever carries
    the plan out. It is the person who ends it and tries again: neither the `timeout` nor the
    `retries` of the file apply.

    Raises:
        ConfigError: as `plan` and `plan_run`.
    """
    document = request.document or Document()
    cells = _cells_of_matrix(request, document)
    if name not in cells:
        words = _Words(image=name, command=tuple(command), interactive=True)
        plan = _plan_one(request, _requested_one(request, document), words)
        if request.document is None or not request.in_project:
            return plan
        return replace(plan, notes=(*plan.notes, *name_notes(name, cells, document)))
    words = _Words(command=tuple(command), interactive=True)
    plan = _plan_one(request, cells[name], words)
    _require_images(plan.cells, document, request.origin, otherwise="name one in place of the cell")
    return replace(plan, notes=(*plan.notes, *image_notes(plan.cells, document)))


def plan_kept(
    request: Request,
    one: Combination,
    image: str,
    settings: CellTable,
    command: Sequence[str],
) -> Plan:
    """Return the plan of a shell in what is kept of the cell of a combination.

    `image` is the ID of what is kept, and `settings` are those that the cell had. They take the
    place of all that the file says of cells, which may have changed since; its networks are those
    that it has now.

    Raises:
        ConfigError: as `plan_run`; or there is no network any more that the cell had.
    """
    document = request.document or Document()
    request = replace(request, document=Document(network=document.network))
    words = _Words(image=image, command=tuple(command), interactive=True, settings=settings)
    return _plan_one(request, one, words)


def _cells_of_matrix(request: Request, document: Document) -> Mapping[str, Combination]:
    """Return the cells of a project by their IDs, as `plan` has them; none without a file."""
    if request.document is None or not request.in_project:
        return {}
    expansion = axes.expand(document, request.origin, _requested(request, document))
    return {one.id: one for one in expansion.combinations}


def _requested_one(request: Request, document: Document) -> Combination:
    requested = _requested(request, document)
    for option, values in (("--arch", requested.platforms), ("--config", requested.configs)):
        if len(values) > 1:
            raise ConfigError(
                f"{option}: one container is for one of them, not {len(values)}",
                hint="`barasync matrix` runs a cell for each",
            )
    for name in requested.configs:
        _require_config(name, request, document)
    return Combination(
        platform=next(iter(requested.platforms), request.native),
        config=next(iter(requested.configs), None),
    )


def _plan_one(request: Request, combination: Combination, words: _Words) -> Plan:
    """Return the plan of a single cell that executes the words of a command line."""
    settings = _Settings(request.document or Document(), request, words)
    cell = settings.cell(combination.id, combination)
    require_networks((cell,), allow_host=request.allow_host_network)
    require_services((cell,))
    _require_room((cell,))
    _require_places((cell,))
    return Plan(
        rule=shlex.join(words.command),
        args=words.command,
        cells=(cell,),
        notes=environment_notes(request.environ),
    )


def _plan_rule(request: Request, combination: Combination, words: _Words) -> Plan:
    """Return the plan of a single cell whose words are a rule and its arguments."""
    if not words.command or not words.command[0]:
        raise ConfigError(
            "COMMAND: no rule is named", hint="write it after the image, or leave --as rule out"
        )
    plan = _plan_one(request, combination, replace(words, verbatim=False))
    rule, *args = words.command
    plan = replace(plan, rule=rule, args=tuple(args))
    _require_commands(plan.cells, replace(request, rule=rule, args=plan.args))
    return plan


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What the command line says that is no option: an image, if any, and a command.

    Unless `verbatim` they are a rule and its arguments. `settings` are those of a cell that was,
    instead of the file's.
    """

    command: tuple[str, ...]
    image: str | None = None
    interactive: bool = False
    verbatim: bool = True
    settings: CellTable | None = None


class _Settings:
    """Folds layers; cells of one configuration and the same includes share the result."""

    def __init__(self, document: Document, request: Request, words: _Words | None = None) -> None:
        self._document = document
        self._origin = request.origin
        self._words = words
        self._lowest = [self._file_layer(document.defaults, "defaults")]
        self._above = [
            environment_layer(request.environ),
            command_line_layer(request.options, request.directory),
        ]
        if words is not None:
            self._heed(words)
        self._policies = parse_policies(document, request.origin)
        self._publish = request.publish
        for layer in self._above:
            if "network" in layer.values:
                check_network(layer.values["network"], self._policies, layer.place("network"))
        self._folded: dict[tuple[str | None, tuple[int, ...]], Folded] = {}

    def _heed(self, words: _Words) -> None:
        if any("\0" in word for word in words.command):
            raise ConfigError("COMMAND: a word contains a NUL character")
        image = UNSET if words.image is None else words.image
        table = CellTable(image=image, command=list(VERBATIM) if words.verbatim else UNSET)
        names = {"image": "IMAGE", "command": "COMMAND"}
        self._above.append(command_line_layer(table, names=names))
        if words.settings is not None:
            names = {name: f"the {name} of the cell that failed" for name in SETTINGS}
            self._lowest.append(command_line_layer(words.settings, names=names))
        if words.interactive:
            names = dict.fromkeys(("timeout", "retries"), "of a shell")
            limits = command_line_layer(CellTable(timeout=0, retries=0), names=names)
            self._lowest.append(limits)

    def cell(self, name: str, one: Combination) -> Cell:
        key = (one.config, one.includes)
        folded = self._folded.get(key)
        if folded is None:
            folded = fold([*self._lowest, *self._between(one), *self._above])
            # The file has checked its own, but not that of a cell that was.
            network = folded.settings.network
            check_network(network, self._policies, folded.provenance["network"])
            self._folded[key] = folded
        return Cell(
            id=name,
            arch=short_name(one.platform),
            platform=one.platform,
            config=one.config,
            settings=folded.settings,
            provenance=folded.provenance,
            policy=self._policy(name, folded.settings.network),
            rule=one.rule,
            repetition=one.repetition,
        )

    def _policy(self, name: str, network: str) -> Policy | None:
        policy = self._policies.get(network)
        if policy is not None:
            return published(policy, self._publish)
        if self._publish:
            raise ConfigError(
                f"{self._publish[0].where}: cell {name} has podman's network '{network}', and"
                " publishes no ports",
                hint="give it a preset or a table of the file as its network: --network private",
            )
        return None

    def _between(self, one: Combination) -> Iterable[Layer]:
        if one.config in self._document.config:
            table = self._document.config[one.config]
            yield self._file_layer(table, "config", one.config)
        for index in one.includes:
            yield self._file_layer(self._document.matrix.include[index], "matrix", "include", index)

    def _file_layer(self, table: CellTable, *keys: str | int) -> Layer:
        if self._words is not None and self._words.verbatim:
            table = structs.replace(table, command=UNSET, artifacts=UNSET)
            if self._words.interactive:
                table = structs.replace(table, timeout=UNSET, retries=UNSET)
        return file_layer(table, self._origin, *keys)


def _requested(request: Request, document: Document) -> Requested:
    names = split_option("--arch", request.arch)
    parsed = (platforms.parse(name, "--arch") for name in names)
    configs = split_option("--config", request.config)
    known = _known_configs(document)
    for name in configs:
        check_config_name(name, "--config")
        if known and name not in known:
            raise ConfigError(
                f"--config: {request.origin.file} has no configuration '{name}'"
                f"{did_you_mean(name, known)}",
                hint=f"it has {', '.join(known)}",
            )
    return Requested(native=request.native, platforms=tuple(dict.fromkeys(parsed)), configs=configs)


def _require_config(name: str, request: Request, document: Document) -> None:
    """Refuse a configuration where there are none: of a matrix its name alone tells cells apart."""
    if _known_configs(document):
        return
    file = request.origin.file
    table = dotted(*request.origin.table, "config", name)
    there = request.document is not None and request.in_project
    lacking = f"{file} has no configurations" if there else f"there is no {file} that has any"
    raise ConfigError(
        f"--config: there is no configuration '{name}', {lacking}",
        hint=f"write [{table}] and its settings into {file},"
        f" or give --define {dotted('config', name)}.KEY=VALUE",
    )


def _known_configs(document: Document) -> list[str]:
    matrix = document.matrix
    included = [entry.config for entry in matrix.include if entry.config is not UNSET]
    return list(dict.fromkeys((*matrix.config, *document.config, *included)))


def _require_images(
    cells: Sequence[Cell], document: Document, origin: Origin, *, otherwise: str = "give --image"
) -> None:
    without = [cell.id for cell in cells if not cell.settings.image]
    if without:
        more = f" and {len(without) - 1} more" if len(without) > 1 else ""
        declared = f"; {origin.file} declares {', '.join(document.images)}"
        raise ConfigError(
            f"no image is given for cell {without[0]}{more}",
            hint=f"write `image = …` under [defaults] in {origin.file}, or {otherwise}"
            + (declared if document.images else ""),
        )


def _require_commands(cells: Iterable[Cell], request: Request) -> None:
    """Refuse a command that comes to no program at all: `["{args}"]` without arguments, say."""
    for cell in cells:
        words = expand(cell, rule=request.rule, args=request.args)
        if not words or not words[0] or any("\0" in word for word in words):
            problem = "contains a NUL character" if words and words[0] else "names no program"
            raise ConfigError(
                f"{cell.provenance['command']}: the command of cell {cell.id} {problem}",
                hint="{rule} and {args} stand for what follows `barasync matrix`",
            )


def _require_room(cells: Iterable[Cell]) -> None:
    """Refuse what is mounted over the project's directory or another of the cell's mounts."""
    for cell in cells:
        mode, taken = cell.settings.workspace, set[str]()
        for name, kind, parse in _MOUNTED:
            for destination in [parse(text).destination for text in getattr(cell.settings, name)]:
                place = cell.provenance[name]
                if mode is not WorkspaceMode.NONE and destination == WORKSPACE:
                    raise ConfigError(
                        f"{place}: there is a {kind} at {WORKSPACE} in cell {cell.id},"
                        f" where workspace '{mode}' has the project",
                        hint="mount it elsewhere, or give --workspace none",
                    )
                if destination in taken:
                    raise ConfigError(
                        f"{place}: {destination} has a volume already in cell {cell.id}"
                    )
                taken.add(destination)


def _require_places(cells: Iterable[Cell]) -> None:
    """Refuse an artifact below a workspace that is not there: it would be missed at the end."""
    for cell in cells:
        if cell.settings.workspace is not WorkspaceMode.NONE:
            continue
        for path in cell.settings.artifacts:
            if not path.startswith("/"):
                raise ConfigError(
                    f"{cell.provenance['artifacts']}: cell {cell.id} has no workspace that the "
                    f"artifact '{path}' could lie in",
                    hint="write the artifact's absolute path, or give --workspace layer",
                )

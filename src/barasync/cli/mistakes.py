"""Mistakes in a command line, in the words and the form of every other error of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import typer

# The library has its copy of click in a private module, and exports one error of all these.
from typer._click import Context, Parameter
from typer._click.exceptions import (
    BadOptionUsage,
    BadParameter,
    MissingParameter,
    NoArgsIsHelpError,
    NoSuchOption,
    UsageError,
)

from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError
from barasync.terminal_text import one_line

_UNKNOWN_COMMAND = re.compile(r"No such command (?P<name>'.*?'|\".*?\")\.?(?: Did you mean .*\?)?")
_TOO_MANY = re.compile(r"Got unexpected extra argument\(s\) \((?P<words>.*)\)", re.DOTALL)
_NO_NUMBER = re.compile(r"(?P<value>.*) is not a valid (?P<kind>int|float)(?: range)?", re.DOTALL)
_NO_CHOICE = re.compile(r"(?P<value>.*) is not one of (?P<choices>'.*')", re.DOTALL)
_OUT_OF_RANGE = re.compile(r"(?P<value>.*) is not in the range (?P<range>.*)", re.DOTALL)
_LOWEST = re.compile(r"x>=(?P<least>.*)")
_NUMBERS = {"int": "a whole number", "float": "a number"}
_DECORATION = " []{}…."


def is_help(error: typer.TyperException) -> bool:
    """Tell whether a command without words has shown its help, which is all there is to say."""
    return isinstance(error, NoArgsIsHelpError)


def config_error(error: typer.TyperException) -> ConfigError:
    """Return what the library of the command line objects to as an error of ours.

    The message is one line and names the option or the argument, with the nearest one that there
    is; the hint says where to look.
    """
    context = error.ctx if isinstance(error, UsageError) else None
    return ConfigError(one_line(_message(error, context)), hint=_hint(error, context))


def _message(error: typer.TyperException, context: Context | None) -> str:
    match error:
        case NoSuchOption():
            nearest = did_you_mean(error.option_name, _options(context))
            return f"there is no option '{error.option_name}'{nearest}"
        case BadOptionUsage() if "requires" in error.message:
            return f"{error.option_name} has no value"
        case BadOptionUsage():
            return f"{error.option_name} takes no value"
        case MissingParameter(param=Parameter() as missing):
            return f"{_name(missing)} is missing"
        case BadParameter(param=Parameter() as parameter):
            return f"{_name(parameter)}: {_objection(error.message.removesuffix('.'))}"
    return _said_of_all(error.message, context)


def _said_of_all(message: str, context: Context | None) -> str:
    """Return what is wrong with the words as a whole."""
    if found := _UNKNOWN_COMMAND.fullmatch(message):
        name = found["name"]
        return f"there is no command {name}{did_you_mean(name[1:-1], _commands(context))}"
    if found := _TOO_MANY.fullmatch(message):
        return f"too many arguments: {found['words']}"
    return message.removesuffix(".")


def _objection(message: str) -> str:
    """Return what is wrong with a value; the library's words where it is none of its own."""
    if found := _NO_NUMBER.fullmatch(message):
        return f"{found['value']} is not {_NUMBERS[found['kind']]}"
    if found := _NO_CHOICE.fullmatch(message):
        choices = found["choices"].replace("'", "").split(", ")
        return f"{message}{did_you_mean(found['value'].strip(chr(39)), choices)}"
    if found := _OUT_OF_RANGE.fullmatch(message):
        lowest = _LOWEST.fullmatch(found["range"])
        if lowest:
            return f"{found['value']} is less than {lowest['least']}"
        least, _, most = found["range"].partition("<=x<=")
        return f"{found['value']} is not from {least} to {most}"
    return message


def _hint(error: typer.TyperException, context: Context | None) -> str | None:
    if context is None:
        return None
    helps = f"`{context.command_path} --help`"
    match error:
        case NoSuchOption():
            return f"{helps} lists the options"
        case BadParameter(param=Parameter(metavar=str() as metavar) as parameter) if _is_option(
            parameter
        ):
            return f"it takes {metavar}; {helps} says more"
    return f"{helps} lists the commands" if _commands(context) else f"{helps} says what it takes"


def _name(parameter: Parameter) -> str:
    """Return what people call an option or an argument: `--env`, `CONTAINER`."""
    if _is_option(parameter):
        return max(parameter.opts, key=len)
    return parameter.human_readable_name.strip(_DECORATION).upper()


def _is_option(parameter: Parameter) -> bool:
    return parameter.param_type_name == "option"


def _options(context: Context | None) -> Iterator[str]:
    parameters: Iterable[Parameter] = context.command.get_params(context) if context else ()
    for parameter in parameters:
        if _is_option(parameter) and not getattr(parameter, "hidden", False):
            yield from (*parameter.opts, *parameter.secondary_opts)


def _commands(context: Context | None) -> Iterable[str]:
    return getattr(context.command, "commands", ()) if context else ()

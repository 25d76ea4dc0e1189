from __future__ import annotations

import inspect

import barasync
from barasync import aiopodman
from barasync.aiopodman import errors


def test_the_public_names_are_there_each_once() -> None:
    assert len(aiopodman.__all__) == len(set(aiopodman.__all__))
    assert all(hasattr(aiopodman, name) for name in aiopodman.__all__)


def test_everything_imported_into_the_package_is_public() -> None:
    imported = {
        name
        for name, value in vars(aiopodman).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }

    assert imported == set(aiopodman.__all__)


def test_every_error_is_public() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }

    assert defined <= set(aiopodman.__all__)


def test_every_error_but_the_root_and_values_belongs_to_one_tree() -> None:
    exceptions = [
        value
        for name in aiopodman.__all__
        if inspect.isclass(value := getattr(aiopodman, name)) and issubclass(value, Exception)
    ]

    assert all(issubclass(error, aiopodman.PodmanError | ValueError) for error in exceptions)


def test_the_package_has_a_version() -> None:
    assert barasync.__version__

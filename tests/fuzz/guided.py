"""Runs the fuzzer, with libFuzzer's arguments; only the environment of `script/fuzz` has it."""

from __future__ import annotations

import importlib
import sys

import atheris

if __name__ == "__main__":
    with atheris.instrument_imports(include=["barasync.artifacts"]):
        target = importlib.import_module("tests.fuzz.archives")
    atheris.Setup(sys.argv, target.run)
    atheris.Fuzz()

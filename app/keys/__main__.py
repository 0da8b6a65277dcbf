"""`./kiln keys`: make, list and remove API keys."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import settings
from . import file
from .file import KeysError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0: done. 1: refused; it says what to do."""
    options = _parser().parse_args(arguments)
    try:
        path = _path(options.file)
        if options.command == "add":
            print(file.add(path, options.name, options.rate))
            print(f"This is the key {options.name}. It is shown this once; {path} holds its hash.", file=sys.stderr)
        elif options.command == "remove":
            file.remove(path, options.name)
            print(f"{options.name} is removed. Servers refuse it from now on.")
        else:
            for key in file.read(path):
                print(key.name + (f"  {key.rate:g} requests a second" if key.rate else ""))
    except KeysError as wrong:
        print(f"kiln: {wrong}", file=sys.stderr)
        return 1
    except OSError as fault:
        print(f"kiln: {fault.filename}: {fault.strerror}", file=sys.stderr)
        return 1
    return 0


def _path(given: str) -> Path:
    """--file is relative to where the caller stood: the launcher has changed the folder."""
    if given:
        return Path(os.environ.get("KILN_CWD", ""), given)
    if named := settings.api_keys_file():
        return named
    raise KeysError("Which file? Name it with --file, or in KILN_API_KEYS, as the server needs it.")


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.01 <= rate <= 1e6:
        raise argparse.ArgumentTypeError("requests a second, from 0.01 to 1000000")
    return rate


def _parser() -> argparse.ArgumentParser:
    both = argparse.ArgumentParser(add_help=False)
    both.add_argument("--file", default="", help="the file of keys (default: KILN_API_KEYS)")
    parser = argparse.ArgumentParser(prog="kiln keys", description="API keys. Servers follow the file by themselves.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[both], help=text, description=text)

    make = add("add", "make a key and print it; the file keeps its hash")
    make.add_argument("--rate", type=_rate, default=0.0, help="most requests a second, 0.01 to 1000000 (default: any)")
    take = add("remove", "remove a key")
    for command in (make, take):
        command.add_argument("name", metavar="NAME")
    add("list", "the names of the keys")
    return parser


if __name__ == "__main__":
    sys.exit(main())

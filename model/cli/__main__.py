"""`./kiln models`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import disk, quiet
from ..errors import ModelError
from ..policy import newest_first
from ..serving import STABLE
from . import changes, proof, rights, shown

SHIPPED = Path(__file__).resolve().parents[1] / "store"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0: done, or all is good. 1: something is bad or was refused; it says what to do."""
    options = _parser().parse_args(arguments)
    store = _store(options.store)
    commands: dict[str, Callable[[Path, argparse.Namespace], int]] = {
        "list": _list,
        "inspect": _inspect,
        "verify": _verify,
        "use": _use,
        "remove": _remove,
    }
    try:
        status = commands[options.command](store, options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # `| head` has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python itself would complain when it ends
        return 128 + signal.SIGPIPE
    except ModelError as error:
        return _refuse(error.message, options)
    except OSError as fault:
        return _refuse(f"{fault.filename or store}: {fault.strerror or fault}", options)


def _store(named: str | None) -> Path:
    """Relative to where the caller stands; the launcher is in its own folder by now."""
    named = named or os.environ.get("KILN_STORE")
    return Path(os.environ.get("KILN_CWD", ""), named).resolve() if named else SHIPPED


def _check(store: Path) -> None:
    if not store.is_dir():
        raise ModelError(f"There is no store at {store}. Name another with --store.")


def _list(store: Path, options: argparse.Namespace) -> int:
    _check(store)
    models = [shown.model(store, name) for name in disk.names(store)]
    if options.json:
        _print_json(models)
        return 0
    rows = [
        (model["name"], entry["version"], entry["state"], ",".join(entry["labels"]), entry["engine"], _size(entry))
        for model in models
        for entry in model["versions"]
    ]
    _print_table(("MODEL", "VERSION", "STATE", "LABELS", "ENGINE", "SIZE"), rows)
    for model in models:
        for text in (model["problem"], *(entry["reason"] for entry in model["versions"])):
            if text:
                print(f"{model['name']}: {text}")
    return 0


def _inspect(store: Path, options: argparse.Namespace) -> int:
    found = shown.in_detail(store, options.name, options.version)
    if options.json:
        _print_json(found)
        return 0
    manifest = found.pop("manifest") or {}
    declared = {
        key: manifest[key] for key in ("inputs", "outputs", "preprocessing", "scores", "built") if key in manifest
    }
    labels = manifest.get("labels") or []
    more = f", … ({len(labels)} in all)" if len(labels) > 10 else ""
    whole = {**found, "bytes": f"{found['bytes']:,}", **declared, "classes": ", ".join(labels[:10]) + more}
    _print_table((), [(key, _text(value)) for key, value in whole.items() if value not in ("", [], {}, None)])
    return 0


def _verify(store: Path, options: argparse.Namespace) -> int:
    _check(store)
    names = [options.name] if options.name else disk.names(store)
    if options.name:
        shown.chosen(store, options.name, options.version)
    found: list[dict[str, Any]] = []
    for name in names:
        try:
            numbers = [options.version] if options.version else newest_first(disk.versions(store / name))
            with quiet.native_code():
                found += [proof.of(store / name / number) for number in numbers]
        except OSError as fault:
            reason = disk.why_unreadable(fault, store / name, store)
            found.append({"model": name, "version": "", "good": False, "reason": reason, "engines": {}})
    if options.json:
        _print_json(found)
    else:
        for entry in found:
            print(f"{entry['model']} {entry['version']}: {'good' if entry['good'] else 'BAD  ' + entry['reason']}")
            for engine, asked in entry["engines"].items():
                figures = f"differs by {asked['difference']:.2g}" if "difference" in asked else asked["reason"]
                print(f"  {engine}: {asked['result']}, {figures}")
    return 0 if found and all(entry["good"] for entry in found) else 1


def _use(store: Path, options: argparse.Namespace) -> int:
    after = changes.use(store, options.name, options.version, options.label)
    if closed := rights.narrower(store, store / options.name / options.version):
        print(
            f"kiln: the service may be unable to load it: {', '.join(map(str, closed))} may be read by fewer than "
            f"{store} may. Give them its owner, group and rights; kiln doctor looks at them for the service's user.",
            file=sys.stderr,
        )
    if options.json:
        _print_json({"name": options.name, "labels": after.labels})
    else:
        print(f"{options.name}: {options.label} is version {options.version}. Servers follow within seconds.")
    return 0


def _remove(store: Path, options: argparse.Namespace) -> int:
    changes.remove(store, options.name, options.version, force=options.force)
    if options.json:
        _print_json({"name": options.name, "removed": options.version})
    else:
        print(f"{options.name}: version {options.version} is removed.")
    return 0


def _refuse(message: str, options: argparse.Namespace) -> int:
    if options.json:
        _print_json({"error": message})
    print(f"kiln: {message}", file=sys.stderr)
    return 1


def _size(entry: dict[str, Any]) -> str:
    return f"{entry['bytes'] / 1e6:,.1f} MB"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def _print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [*([head] if head else []), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _common(**default: Any) -> argparse.ArgumentParser:
    """The options of every command."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--store", help="folder of bundles (default: KILN_STORE, else the one that ships)", **default)
    common.add_argument("--json", action="store_true", help="print JSON", **default)
    return common


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kiln models",
        parents=[_common()],
        description="See, prove and change what a store holds. Without a COMMAND: list it.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parser.set_defaults(command="list")
    # Before the command or behind it: one that is not given behind it leaves what was given before it.
    common = _common(default=argparse.SUPPRESS)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, parents=[common], help=text, description=text)

    add("list", "every version: are its files intact, its labels, engine and size")
    inspect = add("inspect", "all about one version (default: the one served by default)")
    verify = add("verify", "checksums, and golden answers in each engine installed here; status 1 if anything is bad")
    use = add("use", "let a label name a version")
    remove = add("remove", "delete a version that no label names")
    for command in (inspect, use, remove):
        command.add_argument("name", metavar="NAME")
    verify.add_argument("name", metavar="NAME", nargs="?", default="")
    for command in (use, remove):
        command.add_argument("version", metavar="VERSION")
    for command in (inspect, verify):
        command.add_argument("version", metavar="VERSION", nargs="?", default="")
    use.add_argument("--label", default=STABLE, help=f"which (default: {STABLE})")
    remove.add_argument("--force", action="store_true", help="also take away the labels and the split that name it")
    return parser


if __name__ == "__main__":
    sys.exit(main())

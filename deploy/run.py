"""`./kiln run`: start gunicorn with the shipped configuration and say where it listens."""

from __future__ import annotations

import argparse
import errno
import gc
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # in place of this folder, whose files are not to be imported by their names alone
    gc.disable()  # until all is imported (gunicorn.conf.py): nothing of that is garbage, and looking for it takes 3 ms

    from deploy import imports

    imports.finder.start()  # of what main imports, and gunicorn.conf.py
from app import settings  # noqa: E402

OPTIONS = ("host", "port", "workers", "threads", "engine", "store", "model")


def main(arguments: Sequence[str]) -> NoReturn:
    """Turn options into settings, print the addresses, become gunicorn."""
    options = _parser().parse_args(arguments)
    environment = dict(os.environ)
    for name in OPTIONS:
        if (value := getattr(options, name)) is not None:
            environment[f"KILN_{name.upper()}"] = value
    if "KILN_STORE" in environment:
        environment["KILN_STORE"] = _path(environment["KILN_STORE"])
    try:
        config = settings.read(environment)
    except settings.SettingsError as wrong:
        sys.exit(f"kiln: {wrong}")
    if not config.bind and (trouble := _cannot_listen(config.host, config.port)):
        sys.exit(f"kiln: cannot listen on {config.host} port {config.port}: {trouble}")
    print(_welcome(config), flush=True)
    if not (config.store / config.model).is_dir():  # no error: it may come later
        print(
            f"kiln: there is no model {config.model!r} in {config.store}; until there is, the answer is 503.",
            flush=True,
        )
    os.chdir(ROOT)
    os.environ.update(environment)
    # In this very process: a second interpreter would cost a tenth of the time to the first answer.
    from gunicorn.app.wsgiapp import run

    program = Path(sys.executable).with_name("gunicorn")  # what USR2 starts again
    sys.argv = [str(program), "--config", "deploy/gunicorn.conf.py"]
    sys.exit(run())


def _path(text: str) -> str:
    """From where the caller of the launcher stands, which starts this in the project's folder."""
    return str(Path(os.environ.get("KILN_CWD", "."), text).resolve()) if text else text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kiln run", description="Serve the model on this machine. Ctrl+C stops it.", allow_abbrev=False
    )
    described = {setting.name: setting for setting in settings.fields(settings.Settings)}
    for name in OPTIONS:
        setting = described[name]
        default = "empty" if setting.default == "" else setting.default
        help_text = f"{setting.metadata['meaning']} (default: {default})"
        parser.add_argument(f"--{name}", help=help_text)
    parser.epilog = "Every setting can also be given as an environment variable; README.md lists them."
    return parser


def _cannot_listen(host: str, port: int) -> str:
    """Why gunicorn would fail to listen there, told before it tries for seconds; empty when it would not."""
    try:
        # As bytes: of a text Python makes an international name, and imports what that takes, a millisecond.
        named = host.encode() if host.isascii() else host
        family, kind, protocol, _, address = socket.getaddrinfo(named, port, type=socket.SOCK_STREAM)[0]
    except OSError as trouble:
        return f"{trouble.strerror}. Choose another with --host."
    try:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)  # two may bind with SO_REUSEADDR, one listens
    except OSError as trouble:
        option = "--host" if trouble.errno == errno.EADDRNOTAVAIL else "--port"
        return f"{trouble.strerror or trouble}. Choose another with {option}."
    return ""


def _welcome(config: settings.Settings) -> str:
    if config.bind:
        return f"Kiln listens on {config.bind}"
    host = "127.0.0.1" if config.host in ("0.0.0.0", "::", "") else config.host  # noqa: S104  compared, not bound
    host = f"[{host}]" if ":" in host else host
    address = f"http://{host}:{config.port}"
    return (
        f"Kiln listens on  {address}   (Ctrl+C stops it)\n"
        f"  demo page      {address}/\n"
        f"  try            curl -F image=@photo.jpg {address}/predict"
    )


if __name__ == "__main__":
    main(sys.argv[1:])

"""The command: judge a server by its URL.

    python -m conformance http://127.0.0.1:8000 --model half_plus_two --facts half_plus_two.json

Exit status: 0 where every required check holds, 1 where one does not, 2 for wrong arguments or a server that is not
there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import DIALECTS, judge
from .report import fails, table, to_json
from .server import NoAnswer, Server
from .subject import Facts, FactsError, Subject

UNUSABLE = 2


def parser() -> argparse.ArgumentParser:
    """The command line's arguments."""
    names = [dialect.name for dialect in DIALECTS]
    found = argparse.ArgumentParser(
        prog="./kiln conform",
        description="Judge a model server, anybody's, by the protocols that it speaks. Nothing on it is changed.",
    )
    found.add_argument("url", help="where it is, e.g. http://127.0.0.1:8000")
    found.add_argument("--model", required=True, help="name of a model that it serves")
    found.add_argument("--only", nargs="+", choices=names, metavar="DIALECT", help=f"judge these: {', '.join(names)}")
    found.add_argument("--facts", type=Path, metavar="FILE", help="JSON: the model's tensors, examples and answers")
    found.add_argument("--photo", type=Path, metavar="FILE", help="content for inputs of bytes, e.g. a JPEG")
    found.add_argument(
        "--extensions", nargs="+", default=(), metavar="NAME", help="extensions of V2 that it has and does not list"
    )
    found.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="send this, too")
    found.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="wait so long for an answer")
    found.add_argument("--may-unload", action="store_true", help="take the model away for a moment, to see it return")
    found.add_argument("--differing", action="store_true", help="show only what differs")
    found.add_argument("--json", type=Path, metavar="FILE", help="write everything here; - for the terminal")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge, print, and return the exit status."""
    wanted = parser()
    options = wanted.parse_args(arguments)
    # A launcher that changes the folder says where its caller stands.
    caller = Path(os.environ.get("KILN_CWD", "."))
    try:
        headers = dict(header.split(":", 1) for header in options.header)
        facts = Facts.read(caller / options.facts) if options.facts else Facts()
        photo = (caller / options.photo).read_bytes() if options.photo else b""
        if not options.url.startswith(("http://", "https://")):
            raise FactsError(f"{options.url!r} is no URL: it begins with http:// or https://")
    except (FactsError, OSError, ValueError) as error:
        wanted.error(str(error))

    server = Server(options.url, {name.strip(): value.strip() for name, value in headers.items()}, options.timeout)
    subject = Subject(server, options.model, facts, photo, frozenset(options.extensions), options.may_unload)
    try:
        server.get("/")
        judgements = list(judge(subject, options.only))
    except NoAnswer as error:
        print(f"{options.url}: {error}", file=sys.stderr)
        return UNUSABLE

    if options.json:
        text = json.dumps(to_json(options.url, options.model, judgements), indent=2) + "\n"
        if str(options.json) == "-":
            sys.stdout.write(text)
        else:
            (caller / options.json).write_text(text)
    if str(options.json) != "-":
        print(table(judgements, all_rows=not options.differing))
    return int(fails(judgements))


if __name__ == "__main__":
    sys.exit(main())

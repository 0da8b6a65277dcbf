"""Make a reference server's environment and become that server: `./kiln conform --reference mlserver --port 8090`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .formulas import FORMULAS
from .servers import REFERENCES


def main() -> int:
    parser = argparse.ArgumentParser(prog="./kiln conform --reference", description=__doc__)
    parser.add_argument("name", choices=REFERENCES)
    parser.add_argument("--port", type=int, default=8090, help="on 127.0.0.1; those after it may be taken, too")
    options = parser.parse_args()
    reference = REFERENCES[options.name]
    try:
        reference.make()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{reference.name} {reference.version} could not be installed: {error}", file=sys.stderr)
        return 1
    ports = [options.port + i for i in range(reference.ports)]
    command = reference.start(Path(tempfile.mkdtemp(prefix="conform-")), ports)
    print(f"http://127.0.0.1:{options.port} will serve {' and '.join(FORMULAS)}.", file=sys.stderr)
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main())

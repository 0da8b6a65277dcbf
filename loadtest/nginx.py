"""The nginx that ships, in a folder and on a port of its own, in front of a unix socket."""

from __future__ import annotations

import os
import re
from pathlib import Path

from deploy.doctor.nginx import program as program  # for those who start it

from .processes import ROOT, Failed

CONF = ROOT / "deploy" / "nginx.conf"
# Where the copy differs from the file that ships; its head names the same. In this order.
_MACHINE = ("user www-data;", "/run/kiln/", "/run/nginx.pid", "/var/log/nginx/", "/var/lib/nginx/", "listen 80 ")


def configuration(folder: Path, run: Path, port: int) -> str:
    """The shipped configuration, moved: logs and bodies to `folder`, its upstream to run/kiln.sock, to a loopback port.

    Raises Failed where the file that ships no longer has what belongs to the machine.
    """
    # Without root nginx ignores the user, and warns of it.
    user = "user root root;" if os.geteuid() == 0 else ""
    here = (user, f"{run}/", f"{folder}/nginx.pid", f"{folder}/", f"{folder}/", f"listen 127.0.0.1:{port} ")
    text = CONF.read_text()
    for shipped, ours in zip(_MACHINE, here, strict=True):
        # Not in comments: the one at the head of the file names them too.
        text, count = re.subn(rf"^([^#\n]*){re.escape(shipped)}", rf"\g<1>{ours}", text, flags=re.MULTILINE)
        if not count:
            raise Failed(f"deploy/nginx.conf has no {shipped!r}")
    return text

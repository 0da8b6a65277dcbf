"""TLS to the server that is measured."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from ..processes import Failed


@dataclass(frozen=True)
class Tls:
    """name: of the server, which its certificate must be for."""

    context: ssl.SSLContext
    name: str

    def wrap(self, plain: socket.socket) -> ssl.SSLSocket:
        """The handshake comes with the first bytes that are sent: a socket that must not wait can be wrapped, too."""
        return self.context.wrap_socket(plain, server_hostname=self.name, do_handshake_on_connect=False)


def client(name: str, authorities: Path | None, *, insecure: bool) -> Tls:
    """Checks certificates against `authorities`, a file in PEM, or the system's; `insecure`: against nothing. Raises
    Failed where the file has none."""
    try:
        context = ssl.create_default_context(cafile=authorities)
    except OSError as fault:  # ssl's errors are among them
        raise Failed(f"--ca {authorities} cannot be read as certificates in PEM: {fault}") from fault
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return Tls(context, name)

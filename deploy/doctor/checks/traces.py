"""OpenTelemetry traces, where the environment asks for them: the service can make them and send them."""

from __future__ import annotations

from app import settings
from app.telemetry import tracing
from model import extras

from ..chain import Chain
from ..findings import Finding, Findings, Level


def check(chain: Chain) -> Findings:
    """Look for the packages, and for a network."""
    if not settings.traced(chain.environment):
        return
    package = tracing.missing()
    if package:
        yield _warning(f"Traces are asked for and the package {package} is missing.", extras.install("tracing"))
    fenced = chain.unit is not None and chain.unit.is_on("PrivateNetwork")
    if fenced:
        message = "Traces are asked for and none is sent: the unit has PrivateNetwork=yes, no way to any collector."
        opened = "PrivateNetwork=no, RestrictAddressFamilies=AF_INET AF_INET6, IPAddressAllow=<collector>"
        yield _warning(message, f"{opened} in the drop-in of `systemctl edit kiln`, then systemctl restart kiln.")
    if not (package or fenced):
        yield Finding("traces", Level.GOOD, "Traces are asked for, and the packages for them are here.")


def _warning(message: str, remedy: str) -> Finding:
    return Finding("traces", Level.WARNING, message, remedy)

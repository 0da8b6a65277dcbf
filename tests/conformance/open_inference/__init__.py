"""The Open Inference Protocol V2 over HTTP, and its extensions."""

from ..checks import Dialect
from . import binary, classification, compression, core, refusals, repository, statistics, stock_client
from .talk import offered

PARTS = (core, refusals, binary, classification, compression, repository, statistics, stock_client)

DIALECT = Dialect(
    "open_inference", "Open Inference Protocol V2", offered, tuple(check for part in PARTS for check in part.CHECKS)
)

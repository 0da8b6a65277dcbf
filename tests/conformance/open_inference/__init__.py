"""The Open Inference Protocol V2 over HTTP, and its extensions."""

from ..checks import Dialect
from . import core, refusals
from .talk import offered

DIALECT = Dialect("open_inference", "Open Inference Protocol V2", offered, (*core.CHECKS, *refusals.CHECKS))

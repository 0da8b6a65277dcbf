"""Why a model cannot be built."""

from __future__ import annotations

import re

from ..errors import ModelError

LONGEST = 300  # characters
_COLOUR = re.compile(r"\x1b\[\d*m")
_RAISED = re.compile(r"[\w.]+(?:Error|Exception): ")
GRAPH = "Graph execution error:"
_NODES = ("Detected at node", "Node: ", "File ", "<stack traces unavailable>")
_WHERE = ("Exception encountered when calling", "Error when deserializing", "Exception encountered:")


class BuildError(ModelError):
    """The model, an option or the machine does not allow a bundle; the message says what to do."""

    code = "build_failed"


def reason(fault: BaseException) -> str:
    """What an exception of Keras or TensorFlow says, in one line: without where in their code, and how it got there."""
    lines = [line.strip() for line in _COLOUR.sub("", str(fault)).splitlines() if line.strip()]
    if lines and lines[0] == "in user code:":  # TensorFlow tells the way there first
        lines = lines[next((place for place, line in enumerate(lines) if _RAISED.match(line)), 0) :]
    if lines and lines[0] == GRAPH:  # and so it does of a graph
        lines = [line for line in lines[1:] if not line.startswith(_NODES) and "root error(s) found" not in line]
    for line in lines:
        said = _RAISED.sub("", line, count=1).removeprefix("Exception encountered: ")
        if not said.startswith(_WHERE):
            return said[:LONGEST]
    return type(fault).__name__

"""Finding out the model's tensors, by whichever metadata the server has."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from .checks import Differs, NotApplicable, parsed
from .server import Reply
from .subject import Subject
from .tensors import Tensor

# Datatypes by TensorFlow's names.
TENSORFLOW = {
    "DT_BOOL": "BOOL",
    "DT_UINT8": "UINT8",
    "DT_UINT16": "UINT16",
    "DT_UINT32": "UINT32",
    "DT_UINT64": "UINT64",
    "DT_INT8": "INT8",
    "DT_INT16": "INT16",
    "DT_INT32": "INT32",
    "DT_INT64": "INT64",
    "DT_HALF": "FP16",
    "DT_FLOAT": "FP32",
    "DT_DOUBLE": "FP64",
    "DT_STRING": "BYTES",
}

# What metadata of another form than expected raises.
READING = (AttributeError, LookupError, TypeError, ValueError)


def by_tf_serving(subject: Subject) -> None:
    """Take the tensors of the default signature, where nobody gave any. Raises NotApplicable where there is none."""
    if subject.facts.inputs and subject.facts.outputs:
        return
    reply = subject.server.get(f"/v1/models/{quote(subject.model, safe='')}/metadata")
    try:
        signature = _json(reply)["metadata"]["signature_def"]["signature_def"]["serving_default"]
        inputs, outputs = _of_signature(signature["inputs"]), _of_signature(signature["outputs"])
    except READING as error:
        _unknown(subject, reply, error)
    else:
        _take(subject, inputs, outputs)


def by_open_inference(subject: Subject) -> None:
    """Take the tensors of the model's metadata, where nobody gave any. Raises NotApplicable where there are none."""
    if subject.facts.inputs and subject.facts.outputs:
        return
    reply = subject.server.get(f"/v2/models/{quote(subject.model, safe='')}")
    try:
        found = _json(reply)
        inputs = tuple(Tensor(t["name"], t["datatype"], tuple(t["shape"])) for t in found["inputs"])
        outputs = tuple(Tensor(t["name"], t["datatype"], tuple(t["shape"])) for t in found["outputs"])
    except READING as error:
        _unknown(subject, reply, error)
    else:
        _take(subject, inputs, outputs)


def by_any(subject: Subject) -> None:
    """Whichever metadata there is. Raises NotApplicable where there is none."""
    try:
        by_tf_serving(subject)
    except NotApplicable:
        by_open_inference(subject)
    if not subject.facts.outputs:
        by_open_inference(subject)


def _take(subject: Subject, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> None:
    """Take what nobody gave. Raises NotApplicable where there is no input."""
    if not subject.facts.inputs and not inputs:
        raise NotApplicable("the model's metadata has no inputs: name them by --facts")
    subject.facts.inputs = subject.facts.inputs or inputs
    subject.facts.outputs = subject.facts.outputs or outputs


def _unknown(subject: Subject, reply: Reply, error: Exception) -> None:
    """Metadata that cannot be read. Raises NotApplicable, unless the inputs are known without."""
    if not subject.facts.inputs:
        raise NotApplicable(
            f"no tensors in the model's metadata ({reply.summary()}; {error}): name them by --facts"
        ) from error


def _json(reply: Reply) -> Any:
    try:
        return parsed(reply) if reply.status == 200 else None
    except Differs:
        return None


def _of_signature(tensors: dict[str, Any]) -> tuple[Tensor, ...]:
    if unranked := [name for name, tensor in tensors.items() if tensor["tensor_shape"].get("unknown_rank")]:
        raise ValueError(f"{unranked[0]!r} is of unknown rank")
    return tuple(
        Tensor(
            name,
            TENSORFLOW[tensor["dtype"]],
            tuple(int(size["size"]) for size in tensor["tensor_shape"].get("dim", ())),
        )
        for name, tensor in tensors.items()
    )

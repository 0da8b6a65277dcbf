"""Finding out the model's tensors, by whichever metadata the server has."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from .checks import NotApplicable, parsed
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


def by_tf_serving(subject: Subject) -> None:
    """Take the tensors of the default signature, where nobody gave any. Raises NotApplicable where there is none."""
    if subject.facts.inputs:
        return
    reply = subject.server.get(f"/v1/models/{quote(subject.model, safe='')}/metadata")
    try:
        signature = _json(reply)["metadata"]["signature_def"]["signature_def"]["serving_default"]
        subject.facts.inputs = _of_signature(signature["inputs"])
        subject.facts.outputs = _of_signature(signature["outputs"])
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise NotApplicable(f"no tensors in the model's metadata ({reply.summary()}): name them by --facts") from error


def by_open_inference(subject: Subject) -> None:
    """Take the tensors of the model's metadata, where nobody gave any. Raises NotApplicable where there are none."""
    if subject.facts.inputs:
        return
    reply = subject.server.get(f"/v2/models/{quote(subject.model, safe='')}")
    try:
        found = _json(reply)
        inputs = tuple(Tensor(t["name"], t["datatype"], tuple(t["shape"])) for t in found["inputs"])
        outputs = tuple(Tensor(t["name"], t["datatype"], tuple(t["shape"])) for t in found["outputs"])
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise NotApplicable(f"no tensors in the model's metadata ({reply.summary()}): name them by --facts") from error
    if not inputs:
        raise NotApplicable("the model's metadata has no inputs: name them by --facts")
    subject.facts.inputs, subject.facts.outputs = inputs, outputs


def by_any(subject: Subject) -> None:
    """Whichever metadata there is. Raises NotApplicable where there is none."""
    try:
        by_tf_serving(subject)
    except NotApplicable:
        by_open_inference(subject)


def _json(reply: Reply) -> Any:
    return parsed(reply) if reply.status == 200 else None


def _of_signature(tensors: dict[str, Any]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            name,
            TENSORFLOW[tensor["dtype"]],
            tuple(int(size["size"]) for size in tensor["tensor_shape"].get("dim", ())),
        )
        for name, tensor in tensors.items()
    )

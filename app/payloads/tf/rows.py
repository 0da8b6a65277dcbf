"""A predict request -> what the model takes: rows under "instances", or columns under "inputs"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from model.store import Model

from ...settings import Settings
from ..instances import check_most
from .faults import bad, shown
from .values import Fault, convert, is_base64, shape_of, text_of


class Asked(NamedTuple):
    """What a request holds: pictures, still encoded, or the model's inputs in the bundle's order.

    rows: whether it came as instances, so that the answer has one prediction for each.
    """

    rows: bool
    pictures: list[bytes]
    inputs: tuple[np.ndarray, ...]


def read(document: dict[str, Any], model: Model, settings: Settings) -> Asked:
    """The request of a document. Raises RequestError 400."""
    rows = "instances" in document
    if rows and "inputs" in document:
        raise _wrong(document, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
    if rows:
        columns = _of_instances(document, model, settings)
    elif "inputs" in document:
        columns = _of_inputs(document["inputs"], model)
    else:
        raise bad("Missing 'inputs' or 'instances' key")
    check_count(len(next(iter(columns.values())).values), "instances", settings.max_instances)
    if model.bundle.preprocessing is not None and (pictures := _pictures(next(iter(columns.values())), settings)):
        return Asked(rows, pictures, ())
    inputs = tuple(columns[tensor.name].array(tensor.dtype, tensor.shape) for tensor in model.bundle.inputs)
    if len({len(array) for array in inputs}) > 1:
        sizes = ", ".join(f"{name}: {len(column.values)}" for name, column in columns.items())
        raise bad(f"The inputs must have the same size along their first axis, which they have not: {sizes}")
    return Asked(rows, [], inputs)


def check_count(count: int, what: str, most: int) -> None:
    """Raises RequestError 400 where there are too many, or none."""
    if not count:
        raise bad(f"There are no {what}. Send one at least.", f"no_{what}")
    check_most(count, what, most)


class _Column(NamedTuple):
    """The values of one input. place: the index of an instance -> how messages name its value. told: the index of an
    instance and its fault -> the message; None in column form, where the values are looked at as one."""

    values: list[Any]
    place: Callable[[int], str]
    told: Callable[[int, Fault], str] | None = None

    def array(self, dtype: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """As the model takes it. Raises RequestError 400."""
        try:
            return convert(self.values, dtype, shape, lambda: self.explain(dtype), self.place)
        except Fault as fault:
            raise bad(str(fault)) from fault

    def explain(self, dtype: str) -> None:
        """Raises RequestError 400 for the first value that the original would not take, if there is one."""
        if self.told is None:
            shape_of(self.values, dtype)
            return
        first: tuple[int, ...] | None = None
        for number, value in enumerate(self.values):
            try:
                shape = shape_of(value, dtype)
                first = shape if first is None else first
                _compare(first, shape)
            except Fault as fault:
                raise bad(self.told(number, fault)) from fault


def _compare(first: tuple[int, ...], shape: tuple[int, ...]) -> None:
    size, wanted = int(np.prod(shape)), int(np.prod(first))
    if size != wanted:
        raise Fault(f"Expecting tensor size: {wanted} but got: {size}")
    if shape != first:
        raise Fault(f"Expecting shape {_listed(first)} but got: {_listed(shape)}")


def _listed(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _of_instances(document: dict[str, Any], model: Model, settings: Settings) -> dict[str, _Column]:
    """By name of input."""
    instances = document["instances"]
    names = [tensor.name for tensor in model.bundle.inputs]
    if not isinstance(instances, list):
        raise _wrong(document, "Expecting 'instances' to be an list/array")
    if not instances:
        raise _wrong(document, "No values in 'instances' array", "no_instances")
    check_count(len(instances), "instances", settings.max_instances)
    if len(names) > 1 and not isinstance(instances[0], dict):
        raise bad(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    named = _is_named(instances[0])
    for number, instance in enumerate(instances):
        if _is_named(instance) != named:
            either = ("value/list", "object"), ("object", "list")
            raise bad("Expecting {} but got {} at item {} of input list".format(*either[named], number))
        if named and instance.keys() != set(names):
            _refuse_names(number, instance, names)
    if not named:
        if len(names) > 1:  # b64 objects, of which a model of several inputs knows nothing
            _refuse_names(0, instances[0], names)
        return {names[0]: _Column(instances, "instances[{}]".format, _element)}
    return {name: _of_objects(name, instances) for name in names}


def _of_objects(name: str, instances: list[dict[str, Any]]) -> _Column:
    values = [instance[name] for instance in instances]
    return _Column(values, lambda number: f"instances[{number}].{name}", _keyed(name))


def _in_columns(name: str, values: list[Any]) -> _Column:
    return _Column(values, lambda number: f"inputs {name!r}[{number}]")


def _of_inputs(inputs: Any, model: Model) -> dict[str, _Column]:
    """By name of input."""
    names = [tensor.name for tensor in model.bundle.inputs]
    if not _is_named(inputs):
        if len(names) > 1:
            raise bad(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        inputs = {names[0]: inputs}
    columns = {}
    for name in names:
        if name not in inputs:
            raise bad(f"Missing named input: {name} in 'inputs' object.")
        if not isinstance(inputs[name], list):
            raise bad(f"Input {name} must be a list with a value for each instance, not {shown(inputs[name])}")
        columns[name] = _in_columns(name, inputs[name])
    return columns


def _pictures(column: _Column, settings: Settings) -> list[bytes]:
    """Where the client sends base64 or text instead of numbers, what it is; else nothing. Raises RequestError 400."""
    if not isinstance(column.values[0], (str, dict)):
        return []
    check_count(len(column.values), "images", settings.max_images)
    pictures = []
    for number, value in enumerate(column.values):
        try:
            picture = text_of(value)
        except Fault as fault:
            raise bad(column.told(number, fault) if column.told else str(fault), "bad_base64") from fault
        pictures.append(picture.encode() if isinstance(picture, str) else picture)
    return pictures


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _refuse_names(number: int, instance: dict[str, Any], names: list[str]) -> None:
    unknown = next((name for name in instance if name not in names), None)
    if unknown is not None:
        fault = Fault(f"JSON object: does not have named input: {unknown[:100]}")
        raise bad(_keyed(unknown[:100])(number, fault))
    raise bad(
        f"Failed to process element: {number} of 'instances' list. JSON object: {shown(instance)} "
        f"keys must be equal to: {','.join(sorted(names))}"
    )


def _element(number: int, fault: Fault) -> str:
    return f"Failed to process element: {number} of 'instances' list. Error: INVALID_ARGUMENT: {fault}"


def _keyed(name: str) -> Callable[[int, Fault], str]:
    return lambda number, fault: (
        f"Failed to process element: {number} key: {name} of 'instances' list. Error: INVALID_ARGUMENT: {fault}"
    )


def _wrong(document: dict[str, Any], message: str, code: str = "bad_instances") -> Exception:
    return bad(f"JSON Value: {shown(document)} {message}", code)

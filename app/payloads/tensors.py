"""Instances -> the tensors that a model takes, in TensorFlow Serving's row format."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import orjson

from model.store import Model

from ..errors import RequestError
from ..settings import Settings
from .instances import JSON, MOST_PROBLEMS, check_most, read_instances
from .media import MediaType
from .values import BadValues, to_array

_EXAMPLE_VALUES = 12  # at most in an example; the lists of a larger one end in an ellipsis


def read_tensors(body: bytes, kind: MediaType, model: Model, settings: Settings) -> tuple[np.ndarray, ...]:
    """The inputs of a model in a body of that kind, in the bundle's order; their first axis is the instances.

    There is one at least. An instance is an object with a value for each input; where there is one input, the value
    itself will do.
    Raises RequestError 400, naming every problem at once, or 415 (media type not taken).
    """
    if kind.name != JSON:
        raise RequestError(
            415,
            "unsupported_media_type",
            f"Model {model.bundle.name!r} takes tensors. Send them as {JSON}: {example(model)}",
        )
    instances = read_instances(body, lambda: example(model))
    if not instances:
        raise RequestError(400, "no_instances", f"There is no instance. Send one at least: {example(model)}")
    check_most(len(instances), "instances", settings.max_instances)
    inputs, tensors = model.bundle.inputs, []
    problems = list(islice(_misnamed(instances, [tensor.name for tensor in inputs]), MOST_PROBLEMS))
    for tensor in inputs:
        try:
            values = [_value(instance, tensor.name, len(inputs) == 1) for instance in instances]
            tensors.append(to_array(values, tensor.dtype, tensor.shape, _Place(instances, tensor.name)))
        except KeyError:  # one that lacks it; it is among the problems
            continue
        except BadValues as bad:
            problems += bad.problems
    if problems:
        takes = ", ".join(f"{t.name!r} of {t.dtype} {_shape(t.shape[1:])}" for t in inputs)
        named = "; ".join(problems[:MOST_PROBLEMS])
        raise RequestError(400, "bad_instances", f"{named}. An instance of model {model.bundle.name!r} has {takes}.")
    return tuple(tensors)


def _value(instance: Any, name: str, alone: bool) -> Any:
    """Of one input. Raises KeyError where the instance does not have it."""
    if isinstance(instance, dict):
        return instance[name]
    if alone:
        return instance
    raise KeyError(name)


def example(model: Model) -> str:
    """A body that the model takes, as JSON with an ellipsis where it is long."""
    inputs = model.bundle.inputs
    values = {tensor.name: _example(tensor.dtype, tensor.shape[1:]) for tensor in inputs}
    instance = next(iter(values.values())) if len(values) == 1 else values
    return orjson.dumps({"instances": [instance]}).decode().replace('"..."', "...")


def example_of(dtype: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """An input of one instance, as an array of objects; a size that varies is 2. shape: that of one instance."""
    value: Any = "text" if dtype == "string" else False if dtype == "bool" else 0 if "int" in dtype else 0.5
    return np.broadcast_to(np.array(value, object), [2 if size is None else size for size in shape])


def _example(dtype: str, shape: tuple[int | None, ...]) -> Any:
    values = example_of(dtype, shape)
    if values.size <= _EXAMPLE_VALUES:
        return values.tolist()
    value = values.flat[0]
    for size in reversed(values.shape):
        value = [value] * size if size <= 2 else [value, value, "..."]
    return value


class _Place:
    """Names the place of an instance's value: a class, so that it is worked out for those that are wrong alone."""

    def __init__(self, instances: list[Any], name: str) -> None:
        self._instances = instances
        self._name = name

    def __call__(self, number: int) -> str:
        inside = f".{self._name}" if isinstance(self._instances[number], dict) else ""
        return f"instances[{number}]{inside}"


def _misnamed(instances: list[Any], names: list[str]) -> Iterator[str]:
    """Instances that are no objects where they must be, lack an input, or have one that there is not."""
    wanted = set(names)
    for number, instance in enumerate(instances):
        if not isinstance(instance, dict):
            if len(names) > 1:
                yield f"instances[{number}] is not an object with a value for each input"
        elif instance.keys() != wanted:
            missing = [repr(name) for name in names if name not in instance]
            unknown = [repr(name[:100]) for name in instance if name not in wanted][:MOST_PROBLEMS]
            lacks = f"lacks {', '.join(missing)}" if missing else ""
            has = f"has {', '.join(unknown)}, which the model does not take" if unknown else ""
            yield f"instances[{number}] {' and '.join(filter(None, (lacks, has)))}"


def _shape(shape: tuple[int | None, ...]) -> str:
    return f"of shape [{', '.join('any' if size is None else str(size) for size in shape)}]" if shape else "(one value)"

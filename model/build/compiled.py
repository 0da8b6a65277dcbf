"""Reads, changes and writes what a .tflite file holds: its operators and tensors.

The schema is in the package of the engine; it is TensorFlow Lite's schema.fbs, of which only additions change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

OP = schema.BuiltinOperator
ALIGNMENT = 16  # bytes, of each constant: the schema's force_align, which Python's code does not write
_IDENTIFIER = b"TFL3"
_TYPES = {"f": schema.TensorType.FLOAT32, "i": schema.TensorType.INT32}
_NO_OPTIONS = (schema.BuiltinOptions.NONE, None)


class Compiled:
    """The main graph of a compiled file. Its operators are written anew: `keep` those that stay, in their order, and
    call the others in place of those that do not. Tensors are numbers; shapes begin with the batch, and what is called
    here works at any.
    """

    def __init__(self, content: bytes) -> None:
        self._model = schema.ModelT.InitFromPackedBuf(content, 0)
        self._graph = self._model.subgraphs[0]
        self.operators: list[Any] = self._graph.operators
        self._graph.operators = []
        self._codes = {
            self._kind_of(code): number
            for number, code in enumerate(self._model.operatorCodes)
            if code.version == 1 and not code.customCode
        }
        self._constants: dict[tuple[str, tuple[int, ...], bytes], int] = {}

    def kind(self, operator: Any) -> int:
        """Which of OP it is."""
        return self._kind_of(self._model.operatorCodes[operator.opcodeIndex])

    @staticmethod
    def _kind_of(code: Any) -> int:
        return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))

    def shape(self, tensor: int) -> tuple[int, ...]:
        """As declared, with the file's own batch."""
        return tuple(int(size) for size in self._graph.tensors[tensor].shape)

    def varies(self, tensor: int) -> bool:
        """Whether a size beside the batch is not fixed."""
        signature = self._graph.tensors[tensor].shapeSignature
        return signature is not None and -1 in [int(size) for size in signature][1:]

    @property
    def outputs(self) -> list[int]:
        """What the graph answers with, and what other functions of it do."""
        return [int(tensor) for tensor in self._graph.outputs]

    def is_float(self, tensor: int) -> bool:
        """Whether it holds float32."""
        return bool(self._graph.tensors[tensor].type == schema.TensorType.FLOAT32)

    def is_constant(self, tensor: int) -> bool:
        """Whether the file holds its values."""
        data = self._model.buffers[self._graph.tensors[tensor].buffer].data
        return data is not None and len(data) > 0

    def reshape(self, tensor: int, shape: Sequence[int]) -> None:
        """Declare another shape, beside the batch."""
        known = self._graph.tensors[tensor]
        known.shape = list(shape)
        if known.shapeSignature is not None:
            known.shapeSignature = [known.shapeSignature[0], *shape[1:]]

    def values(self, tensor: int) -> np.ndarray | None:
        """A constant of float32; None of any other tensor."""
        known = self._graph.tensors[tensor]
        data = self._model.buffers[known.buffer].data
        if known.type != schema.TensorType.FLOAT32 or data is None or not len(data):
            return None
        return np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32).reshape(self.shape(tensor))

    def keep(self, operator: Any) -> None:
        """It stays as it is."""
        self._graph.operators.append(operator)

    def constant(self, values: np.ndarray) -> int:
        """A tensor of float32 or int32; the same one for the same values, as of a layer that is called twice."""
        key = (values.dtype.kind, values.shape, hashlib.sha256(values.tobytes()).digest())
        if key in self._constants:
            return self._constants[key]
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        self._constants[key] = self._tensor(values.shape, _TYPES[values.dtype.kind], len(self._model.buffers) - 1)
        return self._constants[key]

    def call(
        self,
        kind: int,
        inputs: Sequence[int],
        shape: Sequence[int],
        options: tuple[int, Any] = _NO_OPTIONS,
        result: int | None = None,
    ) -> int:
        """Add an operator. Return the tensor of what it makes, of that shape: `result`, or a new one."""
        made = self._tensor(shape) if result is None else result
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(kind)
        operator.inputs, operator.outputs = list(inputs), [made]
        operator.builtinOptionsType, operator.builtinOptions = options
        self._graph.operators.append(operator)
        return made

    def padded(self, tensor: int, sides: Sequence[tuple[int, int]]) -> int:
        """Zeros around a picture. sides: how many before and after its rows, and its columns."""
        shape = self.shape(tensor)
        pads = [(0, 0), *sides, (0, 0)]
        larger = [size + sum(each) for size, each in zip(shape, pads, strict=True)]
        options = (schema.BuiltinOptions.PadOptions, schema.PadOptionsT())
        return self.call(OP.PAD, (tensor, self.constant(np.array(pads, np.int32))), larger, options)

    def shaped(self, tensor: int, shape: tuple[int, ...], result: int | None = None) -> int:
        """The same numbers in another shape."""
        options = schema.ReshapeOptionsT()
        options.newShape = [-1, *shape[1:]]
        wanted = self.constant(np.array(options.newShape, np.int32))
        return self.call(OP.RESHAPE, (tensor, wanted), shape, (schema.BuiltinOptions.ReshapeOptions, options), result)

    def cut(self, tensor: int, begin: tuple[int, ...], shape: tuple[int, ...], result: int | None = None) -> int:
        """Of the whole batch. Not by SLICE: XNNPACK leaves that one out at any batch, and each costs a way back and
        forth."""
        options = schema.StridedSliceOptionsT()
        options.beginMask = options.endMask = 1  # the first axis
        options.ellipsisMask = options.newAxisMask = options.shrinkAxisMask = 0
        end = [first + size for first, size in zip(begin, shape, strict=True)]
        places = [self.constant(np.array(each, np.int32)) for each in (begin, end, [1] * len(shape))]
        told = (schema.BuiltinOptions.StridedSliceOptions, options)
        return self.call(OP.STRIDED_SLICE, (tensor, *places), shape, told, result)

    def drop_unused(self) -> None:
        """Let go of the constants that nothing reads any more."""
        read = {tensor for graph in self._model.subgraphs for each in graph.operators for tensor in each.inputs}
        read |= {tensor for graph in self._model.subgraphs for tensor in graph.outputs}
        used = {known.buffer for number, known in enumerate(self._graph.tensors) if number in read}
        used |= {known.buffer for graph in self._model.subgraphs[1:] for known in graph.tensors}
        for known in self._graph.tensors:
            if known.buffer not in used:
                self._model.buffers[known.buffer].data = None

    def written(self) -> bytes:
        """The file."""
        builder = _Builder(1 << 20)
        builder.Finish(self._model.Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def _tensor(self, shape: Sequence[int], kind: int = schema.TensorType.FLOAT32, buffer: int = 0) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), kind, buffer
        tensor.name = f"kiln_{len(self._graph.tensors)}".encode()
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _code(self, kind: int) -> int:
        if kind not in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), 1
            self._model.operatorCodes.append(code)
            self._codes[kind] = len(self._model.operatorCodes) - 1
        return self._codes[kind]


class _Builder(flatbuffers.Builder):
    def CreateNumpyVector(self, x: np.ndarray) -> Any:
        self.Prep(ALIGNMENT, x.nbytes)
        return super().CreateNumpyVector(x)

"""Weights that XNNPACK holds in an order of its own: those of the file are read no more, and give their memory back.

A worker would else hold all weights twice: 1.3 GB of VGG16 instead of 0.7. Whether really nothing reads them is not
ours to say; so the golden answers are asked afterwards (model/loading.py). What the graph is made of is asked of the
interpreter's own C++ object, which says it in a microsecond an operator; the public way takes 20.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterator
from typing import Any

_WEIGHTS = 1  # which input of these they are
_PACKED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_UNPACKED = "DEQUANTIZE"  # of weights stored in 16 bits
_DELEGATE = "DELEGATE"
_MADV_DONTNEED = 4  # of mman.h: the pages are the kernel's again, and read as zeros
_PAGE = mmap.PAGESIZE  # 64 KB on some machines: the kernel gives back whole pages, whatever their size


def let_go(interpreter: Any, content: bytes) -> int:
    """Give back the memory of packed weights within the file that an interpreter was made of; how many bytes.

    None where not one delegate, which is XNNPACK, runs all of the graph: what else there is reads weights as they are.
    From then on `content` is of no use to anybody else.
    """
    if sys.platform != "linux":
        return 0
    graph = _Graph(interpreter, content)
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    given = 0
    for begin, end in graph.packed() if graph.is_delegated() else ():
        first, last = -(-begin // _PAGE) * _PAGE, end // _PAGE * _PAGE
        if first < last and advise(first, last - first, _MADV_DONTNEED) == 0:
            given += last - first
    return given


class _Graph:
    """The operators, and where constants lie."""

    def __init__(self, interpreter: Any, content: bytes) -> None:
        self._interpreter = interpreter
        told = interpreter._interpreter
        numbers = range(told.NumNodes())
        self._operators = [
            (told.NodeName(number), told.NodeInputs(number).tolist(), told.NodeOutputs(number).tolist())
            for number in numbers
        ]
        self._begin = ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p).value or 0
        self._end = self._begin + len(content)

    def is_delegated(self) -> bool:
        """Whether one delegate makes all outputs of all inputs."""
        delegates = [(inputs, outputs) for name, inputs, outputs in self._operators if name == _DELEGATE]
        if len(delegates) != 1:
            return False
        inputs, outputs = delegates[0]
        entered = {entry["index"] for entry in self._interpreter.get_input_details()}
        made = {entry["index"] for entry in self._interpreter.get_output_details()}
        return made <= set(outputs) and {each for each in inputs if self._place(each) is None} <= entered

    def packed(self) -> Iterator[tuple[int, int]]:
        """Where weights lie in memory that nothing else reads: the first byte of each and what follows its last."""
        unpacked = {outputs[0]: inputs[0] for name, inputs, outputs in self._operators if name == _UNPACKED}
        packed, others = set(), {entry["index"] for entry in self._interpreter.get_output_details()}
        for name, inputs, _ in self._operators:
            if name in _PACKED:
                packed.add(inputs[_WEIGHTS])
                others.update(inputs[:_WEIGHTS] + inputs[_WEIGHTS + 1 :])
            elif name not in (_DELEGATE, _UNPACKED):
                others.update(inputs)
        packed, others = ({unpacked.get(tensor, tensor) for tensor in tensors} for tensors in (packed, others))
        read = [place for tensor in others if (place := self._place(tensor))]
        for tensor in packed - others:
            place = self._place(tensor)
            if place and not any(begin < place[1] and place[0] < end for begin, end in read):
                yield place

    def _place(self, tensor: int) -> tuple[int, int] | None:
        """Of a constant of the file; None of any other tensor."""
        if tensor < 0:
            return None
        try:
            values = self._interpreter.tensor(tensor)()
        except ValueError:  # it has no memory yet
            return None
        begin = values.__array_interface__["data"][0]
        end = begin + values.nbytes
        return (begin, end) if self._begin <= begin and end <= self._end else None

"""Leaves out of a compiled file the pixels that nothing reads.

A convolution of 1 x 1 with strides of 2 reads each fourth pixel. Where all that reads a tensor does so, as at the end
of each stage of a ResNet, the others need not be made: the stride moves up, past sums and activations, into the
convolutions that made them. The answers are the same numbers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from .compiled import OP, Compiled

Steps = tuple[int, int]  # of rows and columns
_ALL: Steps = (1, 1)
_VALID = schema.Padding.VALID
_CONVOLUTIONS = (OP.CONV_2D, OP.DEPTHWISE_CONV_2D)
_EACH_PIXEL = (OP.ADD, OP.SUB, OP.MUL, OP.RELU, OP.RELU6, OP.LEAKY_RELU, OP.HARD_SWISH, OP.LOGISTIC, OP.TANH)


def rewritten(content: bytes) -> bytes:
    """A compiled file -> the same without what is never read; itself where there is nothing such."""
    file = Compiled(content)
    kept = _worth_it(file, _kept(file))
    if not kept:
        return content
    writer = _Writer(file, kept)
    for operator in file.operators:
        writer.write(operator)
    return file.written()


def _kept(file: Compiled) -> dict[int, Steps]:
    """tensor -> every which of its rows and columns is read, where that is not each and they can be made alone."""
    wanted: dict[int, set[Steps]] = defaultdict(set)
    for tensor in file.outputs:
        wanted[tensor].add(_ALL)
    kept = {}
    for operator in reversed(file.operators):
        steps = _ALL
        if len(operator.outputs) == 1 and len(wanted[operator.outputs[0]]) == 1 and _can_thin(file, operator):
            (steps,) = wanted[operator.outputs[0]]
        if steps != _ALL:
            kept[operator.outputs[0]] = steps
        for place, tensor in enumerate(operator.inputs):
            wanted[tensor].add(_read(file, operator, place, steps))
    return kept


def _worth_it(file: Compiled, kept: dict[int, Steps]) -> dict[int, Steps]:
    """Without the sums and activations of which nothing before them is made with fewer pixels: to cut pixels out of
    what is there costs what they would save."""
    kept = dict(kept)
    for operator in file.operators:
        if file.kind(operator) in _EACH_PIXEL and not any(tensor in kept for tensor in operator.inputs):
            kept.pop(operator.outputs[0], None)
    return kept


def _can_thin(file: Compiled, operator: Any) -> bool:
    kind = file.kind(operator)
    if kind in _CONVOLUTIONS:
        return _is_plain(file, operator)
    if kind not in _EACH_PIXEL:
        return False
    made = operator.outputs[0]
    return _is_picture(file, made) and all(
        (_is_picture(file, each) and file.shape(each) == file.shape(made)) or _is_for_all_pixels(file, each)
        for each in operator.inputs
    )


def _read(file: Compiled, operator: Any, place: int, steps: Steps) -> Steps:
    """Every which row and column it reads of its input at that place, to make those of its answer."""
    kind, down, across = file.kind(operator), *_ALL
    if kind in _EACH_PIXEL:
        down, across = steps
    elif kind == OP.CONV_2D and not place and _is_plain(file, operator) and _reach(file, operator) == (1, 1):
        down, across = steps[0] * operator.builtinOptions.strideH, steps[1] * operator.builtinOptions.strideW
    if (down, across) == _ALL or not _is_picture(file, operator.inputs[place]):
        return _ALL
    _, height, width, _ = file.shape(operator.inputs[place])
    return down if height > 1 else 1, across if width > 1 else 1


def _is_plain(file: Compiled, operator: Any) -> bool:
    options = operator.builtinOptions
    dilated = (options.dilationHFactor, options.dilationWFactor) != (1, 1)
    return not dilated and _is_picture(file, operator.inputs[0]) and _is_picture(file, operator.outputs[0])


def _is_picture(file: Compiled, tensor: int) -> bool:
    known = file.is_float(tensor) and not file.varies(tensor)
    return known and not file.is_constant(tensor) and len(file.shape(tensor)) == 4


def _is_for_all_pixels(file: Compiled, tensor: int) -> bool:
    return file.is_constant(tensor) and math.prod(file.shape(tensor)[:-1]) == 1


def _reach(file: Compiled, operator: Any) -> tuple[int, int]:
    """Height and width of a convolution's kernels."""
    _, height, width, _ = file.shape(operator.inputs[1])
    return height, width


class _Writer:
    def __init__(self, file: Compiled, kept: dict[int, Steps]) -> None:
        self._file = file
        self._kept = kept
        self._cuts: dict[tuple[int, Steps], int] = {}
        self._whole = {tensor: file.shape(tensor) for tensor in kept}
        for tensor, steps in kept.items():
            file.reshape(tensor, _fewer(file.shape(tensor), steps))

    def write(self, operator: Any) -> None:
        kind = self._file.kind(operator)
        steps = self._kept.get(operator.outputs[0], _ALL) if len(operator.outputs) == 1 else _ALL
        if kind in _CONVOLUTIONS and _is_plain(self._file, operator):
            self._stride(operator, steps)
        elif steps != _ALL:
            operator.inputs = [self._thinned(tensor, steps) for tensor in operator.inputs]
        self._file.keep(operator)

    def _stride(self, operator: Any, steps: Steps) -> None:
        """Let a convolution make the pixels that are kept. The first stays where it was, whatever the padding."""
        options, source = operator.builtinOptions, operator.inputs[0]
        if source in self._kept:  # its own strides are among the steps by which that has fewer
            options.strideH = options.strideW = 1
            return
        if steps == _ALL:
            return
        before = (options.strideH, options.strideW)
        options.strideH, options.strideW = before[0] * steps[0], before[1] * steps[1]
        if options.padding == _VALID:
            return
        pads, usual = [], []
        answers = self._whole[operator.outputs[0]][1:3]
        for size, reach, stride, step, count in zip(
            self._file.shape(source)[1:3], _reach(self._file, operator), before, steps, answers, strict=True
        ):
            lead = max((count - 1) * stride + reach - size, 0) // 2
            wanted = (math.ceil(count / step) - 1) * stride * step + reach
            pads.append((lead, max(wanted - size - lead, 0)))
            usual.append((max(wanted - size, 0) // 2, -(-max(wanted - size, 0) // 2)))
        if pads != usual:
            operator.inputs = [self._file.padded(source, pads), *operator.inputs[1:]]
            options.padding = _VALID

    def _thinned(self, tensor: int, steps: Steps) -> int:
        """A tensor with every so many of its rows and columns alone."""
        if tensor in self._kept or self._file.is_constant(tensor):
            return tensor
        if (tensor, steps) not in self._cuts:
            self._cuts[tensor, steps] = self._cut(tensor, steps)
        return self._cuts[tensor, steps]

    def _cut(self, tensor: int, steps: Steps) -> int:
        """By what moves numbers and does not compute with them: 0 times an infinity beside it would be no number."""
        (down, across), (batch, height, width, channels) = steps, self._file.shape(tensor)
        sides = [(0, -height % down), (0, -width % across)]
        padded = self._file.padded(tensor, sides) if any(map(sum, sides)) else tensor
        batch, rows, columns, _ = result = _fewer((batch, height, width, channels), steps)
        blocks = self._file.shaped(padded, (batch, rows, down, columns, across * channels))
        first = self._file.cut(blocks, (0, 0, 0, 0, 0), (batch, rows, 1, columns, channels))
        return self._file.shaped(first, result)


def _fewer(shape: tuple[int, ...], steps: Steps) -> tuple[int, ...]:
    batch, height, width, channels = shape
    return batch, math.ceil(height / steps[0]), math.ceil(width / steps[1]), channels

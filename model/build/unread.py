"""Leaves out of a compiled file the pixels that nothing reads.

A convolution of 1 x 1 with strides of 2 reads each fourth pixel. Where all that reads a tensor does so, as at the end
of each stage of a ResNet, the others need not be made: the stride moves up, past sums and activations, into the
convolutions that made them. The answers are the same numbers.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .compiled import OP, Compiled

Steps = tuple[int, int]  # of rows and columns
_ALL: Steps = (1, 1)
_NONE, _SAME, _VALID = schema.ActivationFunctionType.NONE, schema.Padding.SAME, schema.Padding.VALID
_CONVOLUTIONS = (OP.CONV_2D, OP.DEPTHWISE_CONV_2D)
_EACH_PIXEL = (OP.ADD, OP.SUB, OP.MUL, OP.RELU, OP.RELU6, OP.LEAKY_RELU, OP.HARD_SWISH, OP.LOGISTIC, OP.TANH)


def rewritten(content: bytes) -> bytes:
    """A compiled file -> the same without what is never read; itself where there is nothing such."""
    file = Compiled(content)
    left = _left(file)
    if not left:
        return content
    writer = _Writer(file, left)
    for operator in file.operators:
        writer.write(operator)
    return file.written()


def _left(file: Compiled) -> dict[int, Steps]:
    """tensor -> which of its rows and columns are read, where that is not all of them and they can be made alone."""
    wanted: dict[int, set[Steps]] = defaultdict(set)
    for tensor in file.outputs:
        wanted[tensor].add(_ALL)
    left = {}
    for operator in reversed(file.operators):
        steps = _ALL
        if len(operator.outputs) == 1 and len(wanted[operator.outputs[0]]) == 1 and _can_thin(file, operator):
            (steps,) = wanted[operator.outputs[0]]
        if steps != _ALL:
            left[operator.outputs[0]] = steps
        for tensor in operator.inputs:
            wanted[tensor].add(_read(file, operator, steps))
    return left


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


def _read(file: Compiled, operator: Any, steps: Steps) -> Steps:
    """What it reads of its inputs to make those of its answer."""
    kind = file.kind(operator)
    if kind == OP.CONV_2D and _is_plain(file, operator) and _reach(file, operator) == (1, 1):
        return steps[0] * operator.builtinOptions.strideH, steps[1] * operator.builtinOptions.strideW
    return steps if kind in _EACH_PIXEL else _ALL


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
    def __init__(self, file: Compiled, left: dict[int, Steps]) -> None:
        self._file = file
        self._left = left
        self._cuts: dict[tuple[int, Steps], int] = {}
        self._whole = {tensor: file.shape(tensor) for tensor in left}
        for tensor, (down, across) in left.items():
            batch, height, width, channels = file.shape(tensor)
            file.reshape(tensor, (batch, math.ceil(height / down), math.ceil(width / across), channels))

    def write(self, operator: Any) -> None:
        kind = self._file.kind(operator)
        steps = self._left.get(operator.outputs[0], _ALL)
        if kind in _CONVOLUTIONS and _is_plain(self._file, operator):
            self._stride(operator, steps)
        elif steps != _ALL:
            operator.inputs = [self._thinned(tensor, steps) for tensor in operator.inputs]
        self._file.keep(operator)

    def _stride(self, operator: Any, steps: Steps) -> None:
        options, source = operator.builtinOptions, operator.inputs[0]
        if source in self._left:  # it takes all that is left
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
        """That many of its pixels: by a convolution of 1 x 1 with the factor 1, which XNNPACK does at any size."""
        if tensor in self._left or self._file.is_constant(tensor):
            return tensor
        if (tensor, steps) not in self._cuts:
            batch, height, width, channels = self._file.shape(tensor)
            options = schema.DepthwiseConv2DOptionsT()
            options.padding, options.depthMultiplier, options.fusedActivationFunction = _VALID, 1, _NONE
            options.strideH, options.strideW = steps
            ones = self._file.constant(np.ones((1, 1, 1, channels), np.float32))
            none = self._file.constant(np.zeros(channels, np.float32))
            shape = (batch, math.ceil(height / steps[0]), math.ceil(width / steps[1]), channels)
            told = (schema.BuiltinOptions.DepthwiseConv2DOptions, options)
            self._cuts[tensor, steps] = self._file.call(OP.DEPTHWISE_CONV_2D, (tensor, ones, none), shape, told)
        return self._cuts[tensor, steps]

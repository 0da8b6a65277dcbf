"""Winograd's method for convolutions of 3 x 3 in a compiled file: `python -m model.build.winograd FILE RESULT`.

A tile of m x m answers needs (m + 2) x (m + 2) products for each pair of channel and filter instead of 9 m m: 16
instead of 36 for m = 2, 36 instead of 144 for m = 4. What comes before and after are sums that every filter or channel
shares. So this gains where there are many of both, and loses elsewhere; the build tries it and takes what is faster
here. It is exact but for rounding, which grows with m. See Lavin and Gray, "Fast Algorithms for Convolutional Neural
Networks" (2015, arXiv 1509.09308), whose letters these are: the answers are A'[(G g G') * (B' d B)]A of the kernel g
and the tile d.

XNNPACK has no such operator. The sums become its additions, and each of the (m + 2)^2 products a convolution of 1 x 1,
which runs as near to the processor's peak as the 3 x 3 did.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .compiled import OP, Compiled

# Of channels and filters: half of their harmonic mean. Measured with 16 to 256 of each on 7 to 112 pixels: below it
# nothing was faster than 1.06 of what it replaces, from it on all was, up to 2.2.
FEWEST_CHANNELS = 30
FEWEST_TILES = 25  # the transformed kernels are 1.8 or 4 times as large, and are read once for all tiles
MOST_WASTE = 1.35  # answers of all tiles for each answer that is wanted
_NONE, _SAME, _VALID = schema.ActivationFunctionType.NONE, schema.Padding.SAME, schema.Padding.VALID
_ACTIVATIONS = (_NONE, schema.ActivationFunctionType.RELU, schema.ActivationFunctionType.RELU6)


class Sums:
    """Adds operators of additions to a file. activation: of the last one, which is `end`."""

    def __init__(self, file: Compiled) -> None:
        self._file = file

    def add(self, left: int, right: int, activation: int = _NONE) -> int:
        """left + right."""
        return self._both(OP.ADD, schema.BuiltinOptions.AddOptions, schema.AddOptionsT(), left, right, activation)

    def subtract(self, left: int, right: int, activation: int = _NONE) -> int:
        """left - right."""
        return self._both(OP.SUB, schema.BuiltinOptions.SubOptions, schema.SubOptionsT(), left, right, activation)

    def times(self, tensor: int, factor: float) -> int:
        """tensor * factor."""
        constant = self._file.constant(np.array([factor], np.float32))
        return self._both(OP.MUL, schema.BuiltinOptions.MulOptions, schema.MulOptionsT(), tensor, constant, _NONE)

    def _both(self, kind: int, named: int, options: Any, left: int, right: int, activation: int) -> int:
        options.fusedActivationFunction = activation
        return self._file.call(kind, (left, right), self._file.shape(left), (named, options))


@dataclass(frozen=True)
class Method:
    """F(m x m, 3 x 3). kernel: G. before, after: B' and A' times as many tensors, one for each row or column.

    The points are 0, 1, -1, (2, -2) and infinity; that of 1 is the second, whose column of A' is all ones.
    """

    size: int
    kernel: np.ndarray
    before: Callable[[Sums, Sequence[int]], list[int]]
    after: Callable[[Sums, Sequence[int], int], list[int]]


def _before_2(sums: Sums, d: Sequence[int]) -> list[int]:
    return [
        sums.subtract(d[0], d[2]),
        sums.add(d[1], d[2]),
        sums.subtract(d[2], d[1]),
        sums.subtract(d[1], d[3]),
    ]


def _after_2(sums: Sums, m: Sequence[int], activation: int) -> list[int]:
    return [
        sums.add(sums.add(m[0], m[1]), m[2], activation),
        sums.subtract(sums.subtract(m[1], m[2]), m[3], activation),
    ]


def _before_4(sums: Sums, d: Sequence[int]) -> list[int]:
    """4 d0 - 5 d2 + d4, (d4 - 4 d2) +- (d3 - 4 d1), (d4 - d2) +- 2 (d3 - d1), 4 d1 - 5 d3 + d5."""
    even, odd = sums.subtract(d[4], d[2]), sums.subtract(d[3], d[1])
    twice = sums.add(odd, odd)
    left, right = sums.subtract(d[4], sums.times(d[2], 4)), sums.subtract(d[3], sums.times(d[1], 4))
    return [
        sums.add(sums.times(sums.subtract(d[0], d[2]), 4), even),
        sums.add(left, right),
        sums.subtract(left, right),
        sums.add(even, twice),
        sums.subtract(even, twice),
        sums.subtract(sums.subtract(d[5], d[3]), sums.add(twice, twice)),
    ]


def _after_4(sums: Sums, m: Sequence[int], activation: int) -> list[int]:
    ones, twos = sums.add(m[1], m[2]), sums.add(m[3], m[4])
    odd_ones, odd_twos = sums.subtract(m[1], m[2]), sums.subtract(m[3], m[4])
    return [
        sums.add(sums.add(m[0], ones), twos, activation),
        sums.add(odd_ones, sums.times(odd_twos, 2), activation),
        sums.add(ones, sums.times(twos, 4), activation),
        sums.add(sums.add(odd_ones, sums.times(odd_twos, 8)), m[5], activation),
    ]


SMALL = Method(2, np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]), _before_2, _after_2)
LARGE = Method(
    4,
    np.array(
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ]
    ),
    _before_4,
    _after_4,
)


def method(height: int, width: int, channels: int, filters: int) -> Method | None:
    """The best for a convolution with so many answers a filter; None where none gains."""
    if channels * filters < FEWEST_CHANNELS * (channels + filters):
        return None
    for each in (LARGE, SMALL):
        tiles = math.ceil(height / each.size) * math.ceil(width / each.size)
        if tiles >= FEWEST_TILES and tiles * each.size**2 <= MOST_WASTE * height * width:
            return each
    return None


def rewritten(content: bytes) -> bytes | None:
    """A compiled file -> the same with all convolutions done so that gain; None where there is none."""
    file = Compiled(content)
    count = 0
    for operator in file.operators:
        found = _found(file, operator)
        if found is None:
            file.keep(operator)
        else:
            _write(file, operator, *found)
            count += 1
    if not count:
        return None
    file.drop_unused()
    return file.written()


def _found(file: Compiled, operator: Any) -> tuple[Method, np.ndarray, np.ndarray] | None:
    """(method, kernels, biases) of a convolution that gains."""
    if file.kind(operator) != OP.CONV_2D:
        return None
    options = operator.builtinOptions
    tensor, weights, bias = (*operator.inputs, -1)[:3]
    kernels = file.values(weights)
    if kernels is None or kernels.shape[1:3] != (3, 3) or file.varies(tensor):
        return None
    steps = (options.strideH, options.strideW, options.dilationHFactor, options.dilationWFactor)
    grouped = file.shape(tensor)[3] != kernels.shape[3]
    if steps != (1, 1, 1, 1) or grouped or options.fusedActivationFunction not in _ACTIVATIONS:
        return None
    biases = np.zeros(len(kernels), np.float32) if bias < 0 else file.values(bias)
    if biases is None:
        return None
    _, height, width, filters = file.shape(operator.outputs[0])
    best = method(height, width, kernels.shape[3], filters)
    return (best, kernels, biases) if best else None


def _write(file: Compiled, operator: Any, chosen: Method, kernels: np.ndarray, biases: np.ndarray) -> None:
    """The operators in place of a convolution. kernels: (filters, 3, 3, channels)."""
    (source, *_), (result,) = operator.inputs, operator.outputs
    options = operator.builtinOptions
    batch, height, width, filters = file.shape(result)
    size, reach, channels = chosen.size, chosen.size + 2, kernels.shape[3]
    down, across = math.ceil(height / size), math.ceil(width / size)
    wide = (across + 1) * size  # with a tile more than answers need, so that tiles overlap by slices
    lead, (_, high, across_before, _) = int(options.padding == _SAME), file.shape(source)
    padded = file.padded(source, [(lead, (down + 1) * size - high - lead), (lead, wide - across_before - lead)])
    rows_of_tiles = file.shaped(padded, (batch, down + 1, size * wide * channels))
    sums, activation = Sums(file), options.fusedActivationFunction
    rows = [
        file.cut(rows_of_tiles, (0, row // size, row % size * wide * channels), (batch, down, wide * channels))
        for row in range(reach)
    ]
    transformed = np.einsum("ai,fijc,bj->abfc", chosen.kernel, kernels.astype(np.float64), chosen.kernel)
    none = np.zeros(filters, np.float32)
    products: list[list[int]] = []
    for number, row in enumerate(chosen.before(sums, rows)):
        tiles = file.shaped(row, (batch, down, across + 1, size * channels))
        columns = [
            file.cut(tiles, (0, 0, column // size, column % size * channels), (batch, down, across, channels))
            for column in range(reach)
        ]
        # The product of both points 1 is a part of every answer, with the factor 1, and brings the bias along.
        made = [
            _product(file, each, transformed[number, place], biases if (number, place) == (1, 1) else none)
            for place, each in enumerate(chosen.before(sums, columns))
        ]
        products.append(chosen.after(sums, made, _NONE))
    answers = [chosen.after(sums, column, activation) for column in zip(*products, strict=True)]
    lines = [
        file.shaped(_joined(file, line, 3), (batch, down, across * size * filters))
        for line in zip(*answers, strict=True)
    ]
    whole = _joined(file, lines, 2)
    if (down * size, across * size) == (height, width):
        file.shaped(whole, (batch, height, width, filters), result)
        return
    whole = file.shaped(whole, (batch, down * size, across * size, filters))
    file.cut(whole, (0, 0, 0, 0), (batch, height, width, filters), result)


def _product(file: Compiled, tensor: int, kernels: np.ndarray, biases: np.ndarray) -> int:
    options = schema.Conv2DOptionsT()
    options.padding, options.strideH, options.strideW = _VALID, 1, 1
    weights = file.constant(kernels.astype(np.float32)[:, None, None, :])
    shape = (*file.shape(tensor)[:3], len(kernels))
    told = (schema.BuiltinOptions.Conv2DOptions, options)
    return file.call(OP.CONV_2D, (tensor, weights, file.constant(biases)), shape, told)


def _joined(file: Compiled, tensors: Sequence[int], axis: int) -> int:
    options = schema.ConcatenationOptionsT()
    options.axis, options.fusedActivationFunction = axis, _NONE
    shape = list(file.shape(tensors[0]))
    shape[axis] *= len(tensors)
    return file.call(OP.CONCATENATION, tensors, shape, (schema.BuiltinOptions.ConcatenationOptions, options))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path, help=".tflite")
    parser.add_argument("result", type=Path, help="to write, where a convolution gains")
    options = parser.parse_args()
    if (content := rewritten(options.file.read_bytes())) is not None:
        options.result.write_bytes(content)


if __name__ == "__main__":
    main()

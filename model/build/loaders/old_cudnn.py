"""Weights of CuDNNLSTM and CuDNNGRU in the layout of LSTM and GRU, which compute the same.

NVIDIA's library kept the matrix of each gate transposed, and two biases, one for the input and one for the state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

_GATES = {keras.layers.LSTMCell: 4, keras.layers.GRUCell: 3}


def converted(layer: keras.layers.Layer, variables: Sequence[Any], values: list[np.ndarray]) -> list[np.ndarray]:
    """The values with those of such layers converted, also of those within the layer: both directions, inner models.

    layer: of Keras 3. variables: its own, in the order of the values. What is in today's layout stays as it is.
    """
    if len(variables) != len(values):
        return values
    place = {id(variable): number for number, variable in enumerate(variables)}
    values = list(values)
    for cell in layer._flatten_layers():
        gates = _GATES.get(type(cell))
        if gates is None or cell.bias is None:
            continue
        kernel, state, bias = (place[id(variable)] for variable in (cell.kernel, cell.recurrent_kernel, cell.bias))
        if values[bias].shape != (2 * gates * cell.units,):
            continue
        values[kernel] = _by_gate(values[kernel], gates, lambda part: part.reshape(part.shape[::-1]).T)
        values[state] = _by_gate(values[state], gates, np.transpose)
        both = values[bias].reshape(2, -1)
        values[bias] = both if gates == _GATES[keras.layers.GRUCell] else both.sum(axis=0)
    return values


def _by_gate(matrix: np.ndarray, gates: int, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """matrix: (inputs, gates * units)."""
    return np.hstack([change(part) for part in np.split(matrix, gates, axis=1)])

"""Names of layers that Keras 3 does not allow: those with a slash, such as "conv1/conv"."""

from __future__ import annotations

from typing import Any

from .contents import walk


def without_slashes(config: dict[str, Any]) -> dict[str, Any]:
    """A copy of a configuration in which every such layer has another name, wherever it is named.

    The new name has "_" for "/", and more of them where another layer has that name. Weights are found by the order of
    layers, so that they need no new names.
    """
    named = (name for entry in walk(config) for name in (entry.get("name"), _own_name(entry)) if isinstance(name, str))
    found = list(dict.fromkeys(named))
    used, renamed = set(found), dict[str, str]()
    for name in found:
        if "/" in name:
            new = name.replace("/", "_")
            while new in used:
                new += "_"
            used.add(new)
            renamed[name] = new
    return dict(_renamed(config, renamed)) if renamed else config


def _own_name(entry: dict[str, Any]) -> Any:
    return entry["config"].get("name") if isinstance(entry.get("config"), dict) else None


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: names.get(inner, inner) if key == "name" and isinstance(inner, str) else _renamed(inner, names)
            for key, inner in value.items()
        }
    if not isinstance(value, list):
        return value
    if len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):  # an output: [layer, call, number]
        return [names.get(value[0], value[0]), *value[1:]]
    return [_renamed(inner, names) for inner in value]

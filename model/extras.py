"""What a node may have beyond serving, and how it gets there: "keras", the engine, and "tracing"."""

from __future__ import annotations


def command(extra: str) -> str:
    """What to run on a node, and what to mind: provision.sh takes away those that are not named."""
    return f'sudo KILN_EXTRAS={extra} deploy/image/provision.sh (name all that it is to have, as in "keras tracing")'


def install(extra: str) -> str:
    """What to do where its packages are missing, in a sentence."""
    return f"Install requirements/{extra}.txt, or on a node: {command(extra)}."

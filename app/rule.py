"""URL rules that are quick to make: a worker makes some fifty of them before it answers for the first time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from werkzeug.routing import Rule


class QuickRule(Rule):
    """A rule that compiles what builds URLs of it when the first one is built, which here hardly happens.

    Werkzeug compiles two functions for each rule in advance; for all of ours that takes longer than making the rest of
    the application (`./kiln bench --only start`).
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compiled = functools.cache(functools.partial(super()._compile_builder, append_unknown))

        def build(rule: Rule, **values: Any) -> tuple[str, str]:
            return compiled()(rule, **values)

        return build

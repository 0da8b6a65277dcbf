"""Why a model cannot be built."""

from __future__ import annotations

from ..errors import ModelError


class BuildError(ModelError):
    """The model, an option or the machine does not allow a bundle; the message says what to do."""

    code = "build_failed"

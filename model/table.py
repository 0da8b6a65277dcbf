"""Who gets which version of a model: made anew at each change, never changed, and so read without a lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .errors import ModelNotReady, UnknownVersion
from .policy import newest_first
from .serving import STABLE, Serving
from .split import Split
from .versions import Model, Version


class Table(NamedTuple):
    """One model's versions and labels as they stand.

    versions: all that are known, newest first. labels: label -> version, as it answers now. default: for whoever names
    neither; None when nothing is AVAILABLE. split: the canary's, where there is one. plain: `default` when there is
    no split, so that the commonest question is answered by one look.
    """

    name: str
    versions: tuple[Version, ...]
    labels: Mapping[str, str]
    serving: Serving
    default: Model | None
    split: Split[Model] | None
    problem: str = ""

    @property
    def models(self) -> dict[str, Model]:
        """Those that are AVAILABLE."""
        return {version.version: version.model for version in self.versions if version.model is not None}

    def get(self, version: str | None, label: str | None, client: str) -> Model:
        """See Store.get."""
        if version is None and label is not None:
            version = self.labels.get(label)
            if version is None:
                raise UnknownVersion(f"Model {self.name!r} has no label {label!r}. {self._what_there_is()}")
        if version is not None:
            return self._version(version)
        if self.split is not None:
            return self.split.choose(client)
        if self.default is None:
            raise ModelNotReady(f"Model {self.name!r} is not ready: {self.reason}")
        return self.default

    @property
    def reason(self) -> str:
        """Why there is nothing to answer with."""
        [newest, *_] = self.versions
        return newest.reason or newest.state

    def _version(self, number: str) -> Model:
        found = next((version for version in self.versions if version.version == number), None)
        if found is None:
            raise UnknownVersion(f"Model {self.name!r} has no version {number!r}. {self._what_there_is()}")
        if found.model is None:
            raise ModelNotReady(f"Model {self.name!r} version {number} is not ready: {found.state}, {found.reason}")
        return found.model

    def _what_there_is(self) -> str:
        numbers = ", ".join(version.version for version in self.versions if version.version) or "none"
        return f"Versions: {numbers}. Labels: {', '.join(self.labels) or 'none'}."


def make(
    name: str, versions: Sequence[Version], serving: Serving, in_force: Mapping[str, str], problem: str = ""
) -> Table:
    """The table of versions that stand so. in_force: label -> version AVAILABLE, for labels that have one."""
    models = {version.version: version.model for version in versions if version.model is not None}
    newest = newest_first(models)[:1]
    number = in_force.get(STABLE) or (newest[0] if newest else None)
    default = models.get(number) if number else None
    split = None
    if serving.split and default is not None:
        # A version that is not AVAILABLE leaves its share to the default.
        shares = [(models.get(in_force.get(key, key), default), share) for key, share in serving.shares()]
        split = Split(name, shares)
    return Table(name, tuple(versions), {**serving.labels, **in_force}, serving, default, split, problem)

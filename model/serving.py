"""serving.json: which versions of a model are served, under which labels, and how clients are split among them.

{"labels": {"stable": "2", "canary": "3"}, "versions": "newest 1", "split": {"stable": 95, "canary": 5}, "served": true}

It lies beside the versions, in <store>/<name>/, and every key may be left out. People and `./kiln models` write it; a
server reads it, and writes `served` alone, where its clients may load and unload models.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .errors import BadServing
from .locks import locked
from .policy import Policy, is_number

FILE = "serving.json"
STABLE = "stable"
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}", re.ASCII)
_MODE = 0o644


class Serving(NamedTuple):
    """How one model is served.

    labels: label -> version. split: label or version -> percent of the clients; empty without a canary. served: False
    where the model was unloaded; then no version of it answers, whatever the rest says.
    """

    labels: Mapping[str, str] = {}
    policy: Policy = Policy()
    split: Mapping[str, int] = {}
    served: bool = True

    def to_json(self) -> dict[str, Any]:
        """The form kept in serving.json."""
        whole = {"labels": self.labels, "versions": self.policy.to_json(), "split": self.split}
        return {key: value for key, value in whole.items() if value} | ({} if self.served else {"served": False})

    def named(self) -> set[str]:
        """Every version that a label or the split names."""
        return {self.target(key) for key in (*self.labels, *self.split)}

    def target(self, key: str) -> str:
        """The version that a label or a version of the split means."""
        return self.labels.get(key, key)

    def shares(self) -> list[tuple[str, int]]:
        """The split in the order in which clients are dealt out, whatever order the file has: a tool may sort its keys.

        `stable` is first, so that what the last one gains is taken from there; then versions, then labels by name.
        """
        return sorted(self.split.items(), key=lambda share: _place(share[0]))

    def missing(self, there: Collection[str]) -> str:
        """What it names that is not among the versions `there`, for people; empty where all is there."""
        return self.unmet(lambda number: "" if number in there else "is not in the store")

    def unmet(self, why: Callable[[str], str]) -> str:
        """What it names and cannot have, for people; empty where nothing is amiss. why: a version -> what keeps it from
        answering, as in "is not in the store"; empty where nothing does."""
        named = [(f"label {label!r}", number) for label, number in self.labels.items()]
        named += [("split", key) for key in self.split if key not in self.labels]
        return "; ".join(
            f"{what} names version {number}, which {reason}" for what, number in named if (reason := why(number))
        )


def _place(key: str) -> tuple[bool, bool, int, str]:
    version = is_number(key)
    return key != STABLE, not version, int(key) if version else 0, key


def is_label(value: Any) -> bool:
    """Is it a label? A letter comes first, so that no label looks like a version."""
    return isinstance(value, str) and _LABEL.fullmatch(value) is not None


def read(folder: Path) -> Serving:
    """Read a model's serving.json; the defaults where there is none. Raises BadServing naming every problem at once."""
    path = folder / FILE
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        return Serving()
    except (OSError, ValueError, RecursionError) as fault:
        raise BadServing(f"{path} cannot be read: {fault}") from fault
    if problems := _problems(data):
        raise BadServing(f"{path}: " + "; ".join(problems))
    return Serving(
        labels=dict(data.get("labels", {})),
        policy=Policy.from_json(data["versions"]) if "versions" in data else Policy(),
        split=dict(data.get("split", {})),
        served=data.get("served", True),
    )


def change(folder: Path, edit: Callable[[Serving], Serving]) -> Serving:
    """Replace a model's serving.json by what `edit` makes of it, at once and whole; one writer at a time.

    Raises BadServing when the file that is there cannot be read, or when the new one would not be right.
    """
    with locked(folder):
        after = edit(read(folder))
        data = after.to_json()
        if problems := _problems(data):
            raise BadServing("; ".join(problems))
        handle, name = tempfile.mkstemp(prefix=f".{FILE}-", dir=folder)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(json.dumps(data, indent=2) + "\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(_MODE)  # mkstemp's is for the owner alone, and workers may run as another user
            Path(name).replace(folder / FILE)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    return after


def _problems(data: Any) -> list[str]:
    if not isinstance(data, dict):
        return ["not a JSON object"]
    found = [f"unknown key {key!r}" for key in data if key not in ("labels", "versions", "split", "served")]
    labels, split = data.get("labels", {}), data.get("split", {})
    if isinstance(labels, dict):
        found += [
            f"label {name!r} must start with a letter; then letters, digits and . _ - follow"
            for name in labels
            if not is_label(name)
        ]
        found += [
            f'label {name!r} must name a version like "2", not {version!r}'
            for name, version in labels.items()
            if not is_number(version)
        ]
    else:
        found.append('labels must be an object like {"stable": "2"}')
        labels = {}
    if "versions" in data:
        try:
            Policy.from_json(data["versions"])
        except ValueError as wrong:
            found.append(str(wrong))
    if not isinstance(data.get("served", True), bool):
        found.append("served must be true or false")
    return found + _split_problems(split, labels)


def _split_problems(split: Any, labels: dict[str, Any]) -> list[str]:
    if not isinstance(split, dict):
        return ['split must be an object like {"stable": 95, "canary": 5}']
    found = [
        f"split names {key!r}, which is neither a version nor a label of labels"
        for key in split
        if key not in labels and not is_number(key)
    ]
    wrong = [key for key, percent in split.items() if type(percent) is not int or not 0 <= percent <= 100]
    if wrong:
        found.append(f"split of {', '.join(wrong)} must be an integer from 0 to 100")
    elif split and sum(split.values()) != 100:
        found.append(f"split must add up to 100 percent, not {sum(split.values())}")
    return found

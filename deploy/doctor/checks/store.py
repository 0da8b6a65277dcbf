"""The store can be read by the service, and holds what is to be served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from model import disk, serving
from model.bundle import Bundle
from model.errors import BadServing, BundleError
from model.serving import Serving

from .. import rights
from ..chain import Chain
from ..findings import Finding, Findings, Level


def check(chain: Chain) -> Findings:
    """Look at every version that is to be loaded: its manifest, its files' sizes, and who may read them."""
    config = chain.settings
    try:
        names = disk.names(config.store)
    except OSError as fault:
        yield _problem(f"{config.store}: {fault.strerror}.", "Name the folder of bundles in KILN_STORE.")
        return
    for name in sorted({config.model, *config.models} - set(names)):
        yield _problem(f"{config.store} has no model {name!r}.", "Copy its bundle there, or correct KILN_MODEL(S).")
    wrong = False
    for folder in to_load(chain):
        try:
            bundle = disk.read(folder)
            disk.check_sizes(bundle, disk.stats(folder))
            if why := _unreadable(chain.user, folder, bundle):
                wrong = True
                yield _problem(f"The service cannot read a model: {why}.", "Give its user the right to read the store.")
        except BundleError as error:
            wrong = True
            yield _problem(
                error.message,
                "kiln models verify (./kiln in a checkout) says more; the version before serves meanwhile.",
            )
    if not wrong:
        yield Finding("store", Level.GOOD, f"{config.store}: every version to be loaded is there and can be read.")


def to_load(chain: Chain) -> Iterator[Path]:
    """The folders of the versions that a worker loads: by the policy, and what labels and the split name."""
    config = chain.settings
    try:
        names = set(disk.names(config.store))
    except OSError:
        return
    for name in sorted(names & {config.model, *config.models} if config.models else names):
        folder = config.store / name
        try:
            declared = serving.read(folder)
        except BadServing:
            declared = Serving()
        numbers = disk.versions(folder)
        wanted = declared.policy.wanted(numbers) | set(declared.labels.values()) | set(declared.split)
        yield from (folder / number for number in sorted(wanted & set(numbers)))


def _unreadable(user: str, folder: Path, bundle: Bundle) -> str:
    try:
        seen = (rights.obstacle(user, folder / file.name, rights.READ) for file in disk.files(bundle))
        return next(filter(None, seen), "")
    except KeyError:
        return f"there is no user {user}"


def _problem(message: str, remedy: str) -> Finding:
    return Finding("store", Level.PROBLEM, message, remedy)

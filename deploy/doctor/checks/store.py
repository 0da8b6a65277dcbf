"""The store can be read by the service, and holds what is to be served."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from model import disk, engines, serving
from model.bundle import MANIFEST, Bundle
from model.errors import BadServing, BundleError
from model.serving import Serving

from .. import rights
from ..chain import Chain
from ..findings import Finding, Findings, Level


def check(chain: Chain) -> Findings:
    """Look at every version that is to be loaded: its manifest, its files, and who may read them."""
    config = chain.settings
    try:
        names = disk.names(config.store)
    except OSError as fault:
        yield _problem(f"{config.store}: {fault.strerror}.", "Name the folder of bundles in KILN_STORE.")
        return
    for name in sorted({config.model, *config.models} - set(names)):
        yield _problem(f"{config.store} has no model {name!r}.", "Copy its bundle there, or correct KILN_MODEL(S).")
    found = [one for name in _to_serve(chain, names) for one in _of_model(config.store, name)]
    found += [one for folder in to_load(chain) for one in _of_version(chain, folder)]
    yield from found
    if not found:
        yield Finding("store", Level.GOOD, f"{config.store}: every version to be loaded is intact and can be read.")


def to_load(chain: Chain) -> Iterator[Path]:
    """The folders of the versions that a worker loads: by the policy, and what labels and the split name."""
    config = chain.settings
    try:
        names = disk.names(config.store)
    except OSError:
        return
    for name in _to_serve(chain, names):
        folder = config.store / name
        try:
            declared = serving.read(folder)
        except BadServing:
            declared = Serving()
        try:
            numbers = disk.versions(folder)
        except OSError:
            continue  # the check has said so
        wanted = declared.policy.wanted(numbers) | set(declared.labels.values()) | set(declared.split)
        yield from (folder / number for number in sorted(wanted & set(numbers)))


def _of_model(store: Path, name: str) -> Findings:
    try:
        if problem := _declared_wrong(store / name):
            yield _problem(f"{store}: {problem}.", "Correct it; kiln models use NAME VERSION moves a label.")
    except OSError as fault:
        yield _unreadable(fault, store / name, store)


def _of_version(chain: Chain, folder: Path) -> Findings:
    try:
        files = disk.stats(folder)
        bundle = disk.read(folder)
        disk.check_sizes(bundle, files)
        for file in disk.files(bundle):
            bundle.check_file(file)
        if hidden := _hidden(chain, folder, bundle):
            message = f"The service cannot read a model: {hidden}, and the unit's ProtectHome hides that from it."
            yield _problem(message, "Copy it into the store in the link's place; no store can be in somebody's home.")
        elif why := _obstacle(chain, folder, bundle):
            yield _problem(f"The service cannot read a model: {why}.", "Give its user the right to read the store.")
        engine = engine_of(chain, bundle)
        if package := engines.missing(engine):
            message = f"{bundle.name} version {bundle.version} is run by {engine}: the package {package} is not here."
            yield _problem(message, engines.install(engine))
    except BundleError as error:
        message = f"{error.message} What runs may have loaded it before; a restart will not come up with it."
        remedy = "kiln models verify (./kiln in a checkout) says more; a version before it serves where there is one."
        yield _problem(message, remedy)
    except OSError as fault:
        yield _unreadable(fault, folder, chain.settings.store)


def engine_of(chain: Chain, bundle: Bundle) -> str:
    """The engine that runs a bundle: the one in the settings, or else its own."""
    return chain.settings.engine or bundle.default_engine


def _to_serve(chain: Chain, names: Collection[str]) -> list[str]:
    """Those of the store's models that the service is to serve."""
    config = chain.settings
    return sorted(set(names) & {config.model, *config.models} if config.models else names)


def _declared_wrong(folder: Path) -> str:
    """Why a model's serving.json is not followed, or not all of it; empty where it is. Raises OSError when the folder
    cannot be read."""
    numbers = disk.versions(folder)
    try:
        missing = serving.read(folder).missing(numbers)
    except BadServing as error:
        return disk.named_within(folder.parent, error.message)
    return f"{folder.name}/{serving.FILE}: {missing}" if missing else ""


def _read(folder: Path, bundle: Bundle) -> Iterator[Path]:
    """All that the service reads of a version, from the store on."""
    yield from (folder.parents[1], folder.parent, folder)  # it lists them
    yield from (folder / name for name in (MANIFEST, *(file.name for file in disk.files(bundle))))


def _hidden(chain: Chain, folder: Path, bundle: Bundle) -> str:
    """Where a version lies, or a file of it, when the unit hides that from the service; empty where it does not."""
    path = next((path for path in _read(folder, bundle) if chain.unit and chain.unit.hides(path)), None)
    return f"{path} is in truth {path.resolve()}" if path else ""


def _obstacle(chain: Chain, folder: Path, bundle: Bundle) -> str:
    try:
        seen = (rights.obstacle(chain.user, path, rights.READ) for path in _read(folder, bundle))
        return next(filter(None, seen), "")
    except KeyError:
        return f"there is no user {chain.user}"


def _unreadable(fault: OSError, folder: Path, store: Path) -> Finding:
    """Of a model or a version that whoever asks cannot look into."""
    why = disk.why_unreadable(fault, folder, store)
    return _problem(f"{store}: {why}.", "Mend the link or the rights, or take it out of the store.")


def _problem(message: str, remedy: str) -> Finding:
    return Finding("store", Level.PROBLEM, message, remedy)

"""`verify`: checksums, and golden answers in each engine that is installed here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import disk, engines
from ..errors import BundleError, EngineMissing


def of(folder: Path) -> dict[str, Any]:
    """Prove one version. `engines` has each one's largest difference, or why it failed or was skipped.

    It is good when every file is the one that was built, no engine fails, and at least one could be asked.
    """
    found: dict[str, Any] = {"model": folder.parent.name, "version": folder.name, "good": False, "reason": ""}
    found["engines"] = asked = {}
    try:
        bundle = disk.read(folder)
        disk.check_sizes(bundle, disk.stats(folder))
        for file in disk.files(bundle):
            bundle.check_file(file)
    except BundleError as error:
        found["reason"] = error.message
        return found
    except OSError as fault:
        found["reason"] = disk.why_unreadable(fault, folder, folder.parents[1])
        return found
    for name, file in sorted(bundle.engines.items()):
        try:
            difference = bundle.prove(engines.load(name, folder / file.name), name)
            asked[name] = {"result": "good", "difference": difference, "tolerance": bundle.tolerance_of(name)}
        except EngineMissing as missing:
            asked[name] = {"result": "skipped", "reason": missing.message}
        except BundleError as error:
            asked[name] = {"result": "bad", "reason": error.message}
        except Exception as error:  # an engine may raise anything on a file that it cannot read
            asked[name] = {"result": "bad", "reason": f"{type(error).__name__}: {error}"}
    results = {entry["result"] for entry in asked.values()}
    found["good"] = "good" in results and "bad" not in results
    if not found["good"]:
        found["reason"] = "An engine fails." if "bad" in results else "None of its engines is installed here."
    return found

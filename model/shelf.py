"""One model in this process: which of its versions should be loaded, which are, and who gets which."""

from __future__ import annotations

import logging
from pathlib import Path

from . import disk, serving, table
from .errors import BadServing
from .policy import newest_first
from .serving import STABLE
from .slot import Slot
from .versions import State, Version

logger = logging.getLogger("kiln.store")


class Shelf:
    """The versions of one model. Not safe for threads: the store's lock guards it; its tables may be read by all."""

    def __init__(self, store: Path, name: str) -> None:
        self.name = name
        self._store, self.folder = store, store / name
        self.slots: dict[str, Slot] = {}
        self._serving = serving.Serving()
        self._fault = ""  # why the disk, or what is declared there, is not followed
        self._unmet = ""  # versions that are declared and not there, or have failed
        self._in_force: dict[str, str] = {}  # label -> version that answers for it; AVAILABLE ones alone

    def look(self) -> None:
        """Compare with the disk. What cannot be read changes nothing."""
        fault = ""
        try:
            self._look_at_versions()
            self._serving = serving.read(self.folder)
        except BadServing as error:
            fault = disk.named_within(self._store, error.message)
        except OSError as error:
            fault = disk.why_unreadable(error, self.folder, self._store)
        if fault and fault != self._fault and self.slots:  # without any, it is the reason that is told
            logger.error("model %s goes on as before: %s", self.name, fault)
        self._fault = fault

    @property
    def problem(self) -> str:
        """Why what is declared is not in force, or not all of it."""
        return self._fault or self._unmet

    def _look_at_versions(self) -> None:
        found = disk.versions(self.folder)
        for number in found:
            self.slots.setdefault(number, Slot(self.folder / number))
        for number, slot in self.slots.items():
            slot.look(there=number in found)

    def next_due(self) -> Slot | None:
        """The version to load next: the one that most requests wait for comes first."""
        changed = [slot for slot in self.slots.values() if slot.model is not None]
        wanted = [self.slots[number] for number in newest_first(self._wanted())]
        wanted.sort(key=lambda slot: slot.number != self._serving.labels.get(STABLE))
        return next((slot for slot in (*wanted, *changed) if slot.due), None)

    def settle(self) -> table.Table:
        """Put in force what is loaded, let go of what is no longer wanted, and say who gets which version."""
        for slot in self.slots.values():
            slot.leave()
        self._in_force = self._labels_in_force()
        wanted = self._wanted()
        if all(self.slots[number].model is not None for number in wanted):
            for number, slot in self.slots.items():
                if slot.model is not None and number not in wanted and (number != self._last_one() or not slot.there):
                    slot.unload()
            self._in_force = self._labels_in_force()
        for number in [number for number, slot in self.slots.items() if self._is_gone(slot)]:
            del self.slots[number]
        self._tell_unmet()
        return table.make(self.name, self._versions(wanted), self._serving, self._in_force, self.problem)

    def _tell_unmet(self) -> None:
        unmet = self._serving.unmet(self._why_not)
        if unmet:
            unmet = f"{self.name}/{serving.FILE}: {unmet}"
        if unmet and unmet != self._unmet:
            logger.warning("model %s: %s", self.name, unmet)
        self._unmet = unmet

    def _why_not(self, number: str) -> str:
        """See Serving.unmet."""
        slot = self.slots.get(number)
        if slot is None or not slot.there:
            return "is not in the store"
        version = slot.version(self.name, "")
        return f"is at its END: {version.reason}" if version.failed else ""

    @property
    def loading(self) -> bool:
        """Is a version LOADING?"""
        return any(slot.loading for slot in self.slots.values())

    @property
    def leaving(self) -> bool:
        """Is a version UNLOADING?"""
        return any(slot.leaving for slot in self.slots.values())

    def _wanted(self) -> set[str]:
        """What should be loaded: by the policy and by labels, among those that can be."""
        if not self._serving.served:
            return set()
        there = {number for number, slot in self.slots.items() if slot.there and slot.usable}
        named = self._serving.named() | set(self._in_force.values())
        return self._serving.policy.wanted(there) | (named & there)

    def _labels_in_force(self) -> dict[str, str]:
        """A label moves once its new version is AVAILABLE, and stays where it was until then."""
        found = {}
        for label, number in self._serving.labels.items():
            for choice in (number, self._in_force.get(label, "")):
                if choice in self.slots and self.slots[choice].model is not None:
                    found[label] = choice
                    break
        return found

    def _last_one(self) -> str:
        """The one version to keep, wanted or not, when no other is loaded that could answer; none once unloaded."""
        if not self._serving.served:
            return ""
        loaded = [number for number, slot in self.slots.items() if slot.model is not None]
        return newest_first(loaded)[0] if not (set(loaded) & self._wanted()) and loaded else ""

    @staticmethod
    def _is_gone(slot: Slot) -> bool:
        return not slot.there and slot.model is None and not slot.loading and not slot.leaving

    def _versions(self, wanted: set[str]) -> list[Version]:
        if not self.slots:
            none = f"The store holds no versions (folders {self.name}/1, {self.name}/2, …) of model {self.name!r}."
            reason = self._fault or none
            return [Version(self.name, "", State.END, reason, failed=bool(self._fault))]
        unwanted = f"Not loaded: the policy is {self._serving.policy}, and no label names it."
        if not self._serving.served:
            unwanted = "Unloaded: serving.json says that the model is not served."
        return [
            self.slots[number].version(self.name, "" if number in wanted else unwanted)
            for number in newest_first(self.slots)
        ]

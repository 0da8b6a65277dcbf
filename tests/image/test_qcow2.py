"""A disk image, booted by firmware and kernel of its own in QEMU (software emulation)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.image.conftest import bake, need_root_and

pytestmark = [pytest.mark.image, pytest.mark.slow, pytest.mark.timeout(1200)]


def test_a_booted_disk_answers_a_photo(tmp_path: Path) -> None:
    need_root_and("mmdebstrap", "systemd-nspawn", "mkfs.vfat", "mcopy", "sfdisk", "qemu-img", "qemu-system-x86_64")
    if not Path("/usr/share/ovmf/OVMF.fd").exists():
        pytest.skip("not installed: ovmf")
    said = bake(tmp_path, "--target", "qcow2", "--boot-test")
    (tmp_path / "kiln.qcow2").unlink()
    assert "cat.jpg is a cat" in said

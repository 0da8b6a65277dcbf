"""Boot a disk image in QEMU and post a photo to the service in it: boot_test.py DISK PHOTO.

Software emulation, so that it runs on any machine, in a minute or two. The disk is not written to, the guest reaches
nothing, and its port 80 is a free port of this machine's loopback. Nothing but Python's own library is needed.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

BOOT_SECONDS = 400
FIRMWARE = ("/usr/share/ovmf/OVMF.fd", "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/qemu/OVMF.fd")


def main(disk: str, photo: str) -> None:
    """Exits with what the console said last where the service does not come up or answers wrongly."""
    firmware = next((path for path in FIRMWARE if Path(path).exists()), None)
    if firmware is None:
        sys.exit("boot-test: no UEFI firmware for QEMU; install with: apt-get install ovmf")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="kiln-boot-") as folder:
        console = Path(folder, "console")
        started = time.monotonic()
        with _qemu(disk, firmware, port, console) as machine:
            try:
                _wait_until_ready(machine, port)
                seconds = time.monotonic() - started
                answer = json.loads(_open(port, "/predict", Path(photo).read_bytes()))
            except (OSError, RuntimeError) as trouble:
                said = console.read_text(errors="replace") if console.exists() else ""
                sys.exit(f"boot-test: {trouble}. The console's last words:\n{said[-3000:]}")
    best = answer["predictions"][0]
    print(f"boot-test: ready after {seconds:.0f} s; {Path(photo).name} is a {best['label']}")


def _qemu(disk: str, firmware: str, port: int, console: Path) -> contextlib.AbstractContextManager[subprocess.Popen]:
    command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"]
    command += ["-smp", "2", "-m", "1024", "-bios", firmware, "-device", "virtio-rng-pci"]
    command += ["-drive", f"file={disk},format=qcow2,if=virtio,snapshot=on"]
    command += ["-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:80"]
    command += ["-device", "virtio-net-pci,netdev=net", "-display", "none", "-serial", f"file:{console}"]
    return _ended(subprocess.Popen(command, stdin=subprocess.DEVNULL))


@contextlib.contextmanager
def _ended(process: subprocess.Popen):
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(machine: subprocess.Popen, port: int) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while True:
        if machine.poll() is not None:
            raise RuntimeError(f"QEMU ended with status {machine.returncode}")
        try:
            _open(port, "/ready")
        except OSError as trouble:  # refused, reset, 502, 503
            if time.monotonic() > deadline:
                raise RuntimeError(f"not ready after {BOOT_SECONDS} s: {trouble}") from None
            time.sleep(0.5)
        else:
            return


def _open(port: int, path: str, body: bytes | None = None) -> bytes:
    """The body of a 200. Raises OSError otherwise."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "image/jpeg"})
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return answer.read()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


if __name__ == "__main__":
    main(*sys.argv[1:])

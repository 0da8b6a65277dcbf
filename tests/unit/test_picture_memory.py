"""What decoding a picture takes at its peak, in a process of its own: no more than `./kiln doctor` counts.

`./kiln test tests/unit/test_picture_memory.py -s` prints the bytes a pixel of each kind.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deploy.doctor.checks import memory
from tests.pictures import encoded, png, tags, tiff

pytestmark = [pytest.mark.unit, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SIDE = 2000
SLACK = 4 << 20  # bytes: strips, and what the libraries take once
CAT = Image.open(ROOT / "tests" / "data" / "cat.jpg")
GREY = np.asarray(CAT.convert("L").resize((SIDE, SIDE)))
RGB = CAT.resize((SIDE, SIDE))
CLEAR = RGB.copy()
CLEAR.putalpha(200)
DEEP = np.asarray(RGB).astype(np.uint16) * 257
TURNED = tags(6)

PICTURES: dict[str, Callable[[], bytes]] = {  # the most costly of each format
    "WebP, lossless, with alpha, turned": lambda: encoded(CLEAR, "WEBP", lossless=True, method=0, exif=TURNED),
    "WebP, lossy, turned": lambda: encoded(RGB, "WEBP", method=0, exif=TURNED),
    "TIFF, 16 bits a colour, turned": lambda: tiff(DEEP, deflated=True, orientation=6),
    "TIFF, CMYK, turned": lambda: tiff(np.asarray(RGB.convert("CMYK")), deflated=True, orientation=6),
    "TIFF, floats": lambda: tiff(GREY.astype(np.float32), deflated=True),
    "TIFF, 32 bits": lambda: tiff(GREY.astype(np.int32) << 20, deflated=True),
    "PNG, 16 bits with a transparent colour": lambda: png(DEEP, clear=(0, 0, 0)),
    "PNG, with alpha, turned": lambda: encoded(CLEAR, "PNG", compress_level=1, exif=TURNED),
    "JPEG, progressive, CMYK, turned": lambda: encoded(RGB.convert("CMYK"), "JPEG", progressive=True, exif=TURNED),
    "JPEG, progressive": lambda: encoded(RGB, "JPEG", progressive=True, subsampling=0),
    "GIF": lambda: encoded(RGB.convert("P"), "GIF", transparency=0),
    "BMP": lambda: encoded(RGB, "BMP"),
}

# A small picture first, so that the libraries have what they take once. `5` makes the highest mark of memory anew.
MEASURE = """
import sys
from pathlib import Path
from model.preprocess import Limits, decode

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

small, large = (Path(name).read_bytes() for name in sys.argv[1:])
decode(small, (64, 64), Limits())
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
decode(large, (65535, 65535), Limits())
print(status("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux")
@pytest.mark.parametrize("name", PICTURES)
def test_no_picture_takes_more_than_doctor_counts(name: str, tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(encoded(CAT, "PNG"))
    large.write_bytes(PICTURES[name]())
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, small, large], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    peak, counted = int(done.stdout), memory.PIXEL * SIDE**2 + memory.BODIES * large.stat().st_size
    print(f"{name}: {peak / SIDE**2:.1f} bytes a pixel")
    assert peak < counted + SLACK

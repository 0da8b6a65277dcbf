"""report.html: one file with everything in it, drawn from the report's JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from .plots import spread_text


def render(report: dict[str, Any], folder: Path, captions: Mapping[str, str]) -> str:
    """captions: picture in `folder` -> its caption."""
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False).from_string(
        Path(__file__).with_name("report.html").read_text()
    )
    pictures = {caption: base64.b64encode((folder / file).read_bytes()).decode() for file, caption in captions.items()}
    names = list(dict.fromkeys(process["name"] for point in report["points"] for process in point["processes"]))
    return template.render(report=report, pictures=pictures, names=names, text=spread_text, percent=_percent)


def _percent(share: dict[str, Any] | None) -> str:
    if share is None:
        return "–"
    return spread_text({"values": [100 * value for value in share["values"]]}, 0)

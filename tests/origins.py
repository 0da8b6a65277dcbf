"""nginx.conf with one other origin allowed, changed as docs/security.md says."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.servers import ROOT
from tests.stand_in import instead


def allowing(origin: str) -> Callable[[str], str]:
    """The change of nginx.conf that lets pages of an origin ask."""
    section = (ROOT / "docs" / "security.md").read_text().split("## Pages of other origins\n")[1].split("\n## ")[0]
    named = section.replace("https://shop.example", origin)
    headers, preflight = re.findall(r"^```nginx\n(.*?)^```$", named, re.MULTILINE | re.DOTALL)

    def change(text: str) -> str:
        # In http, and in the location of nginx's own errors.
        text, count = re.subn(
            r"((?:^ +add_header .*;.*\n)+)", lambda found: found[1] + headers, text, flags=re.MULTILINE
        )
        assert count == 2
        return instead("location / {\n            proxy_pass", f"location / {{\n{preflight}            proxy_pass")(
            text
        )

    return change

"""Compressed bodies. Applicable where the server understands one; no metadata tells."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Mapping

from ..checks import REFUSALS, Checks, NotApplicable
from ..server import Reply, members
from ..subject import Subject
from .talk import (
    COMPRESSION,
    JSON,
    LENGTH,
    binary_request,
    error,
    extension,
    forms,
    good,
    good_request,
    infer,
    request,
    same,
    usable,
)

CHECKS = Checks("open_inference")
check = CHECKS.check

BOMB = 200 * 1024 * 1024  # bytes of a small body, decompressed: beyond the limit of every server known
PACK = {"gzip": gzip.compress, "deflate": zlib.compress}
RFC_GZIP = "RFC 1952, 2.2: File format"


def _send(subject: Subject, content: bytes, coding: str, headers: Mapping[str, str]) -> Reply:
    return infer(subject, content, {**headers, "Content-Encoding": coding})


def understood(subject: Subject) -> None:
    """Raises NotApplicable where the server does not understand a good request in gzip."""
    usable(subject)
    if "compression" not in subject.memory:
        content, headers = good_request(subject)
        reply = _send(subject, gzip.compress(content), "gzip", headers)
        subject.memory["compression"] = reply.status == 200 or "compression" in subject.extensions
    if not subject.memory["compression"]:
        raise NotApplicable("the server does not understand a body in gzip")


def _packed(subject: Subject, pack: Callable[[bytes], bytes], coding: str) -> Reply:
    """The answer to a good request that is packed, and said to be in a coding."""
    understood(subject)
    content, headers = good_request(subject)
    return _send(subject, pack(content), coding, headers)


def _add() -> None:
    for coding, pack in PACK.items():

        def judge(subject: Subject, coding: str = coding, pack=pack) -> str:
            return same(subject, _packed(subject, pack, coding))

        CHECKS.add(
            f"compression.{coding}",
            f"a request in {coding} is answered as the plain one",
            COMPRESSION,
            judge,
            required=coding == "gzip",
        )

        def asked(subject: Subject, coding: str = coding) -> str:
            understood(subject)
            content, headers = good_request(subject)
            reply = infer(subject, content, headers | {"Accept-Encoding": coding})
            same(subject, reply)
            return f"Content-Encoding: {reply.headers.get('Content-Encoding', 'none')}"

        CHECKS.add(f"compression.answer.{coding}", f"an answer may be asked for in {coding}", COMPRESSION, asked)


_add()


@check("compression.gzip.members", "a body in gzip may be of several members, one after the other", RFC_GZIP)
def _(subject: Subject) -> str:
    return same(subject, _packed(subject, members, "gzip"))


@check("compression.binary", "the length header counts bytes before compression", COMPRESSION)
def _(subject: Subject) -> str:
    understood(subject)
    extension(subject, "binary_tensor_data")
    body, tensors = binary_request(subject, binary_data_output=True)
    head = json.dumps(body).encode()
    content = gzip.compress(head + b"".join(tensors))
    fields = {"Content-Type": "application/octet-stream", "Accept-Encoding": "gzip", LENGTH: str(len(head))}
    return same(subject, _send(subject, content, "gzip", fields))


@check("compression.no_gzip", "refused: a body that is not what Content-Encoding says", COMPRESSION)
def _(subject: Subject) -> str:
    return error(subject, _packed(subject, bytes, "gzip"))


@check("compression.cut", "refused: a body in gzip that ends early", COMPRESSION)
def _(subject: Subject) -> str:
    return error(subject, _packed(subject, lambda content: gzip.compress(content)[:-9], "gzip"))


@check("compression.unknown", "refused, or 501: a coding that there is none", COMPRESSION)
def _(subject: Subject) -> str:
    return error(subject, _packed(subject, bytes, "squeeze"), {*REFUSALS, 501})


@check("compression.bomb", f"refused: {BOMB // 1024**2} MiB in a small body, however good they are", COMPRESSION)
def _(subject: Subject) -> str:
    understood(subject)
    packer = zlib.compressobj(wbits=31)  # gzip
    body = json.dumps(request(subject)).encode()
    content = packer.compress(body[:-1])
    piece = b" " * (1024 * 1024)
    for _ in range(BOMB // len(piece)):
        content += packer.compress(piece)
    content += packer.compress(body[-1:]) + packer.flush()
    return error(subject, _send(subject, content, "gzip", JSON))


@check("compression.and_lives", "after all of these, a good request is answered as before", COMPRESSION)
def _(subject: Subject) -> str:
    understood(subject)
    return same(subject, good(subject))


@check("compression.errors.form", 'the body of these errors is {"error": text}', COMPRESSION)
def _(subject: Subject) -> str:
    understood(subject)
    return forms(subject)

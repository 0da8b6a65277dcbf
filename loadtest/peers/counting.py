"""Lines of code that somebody wrote: without blank lines, comments and docstrings."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable
from pathlib import Path

_NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def lines(files: Iterable[Path]) -> int:
    """Of all files together. In what is not Python every line counts that is not blank."""
    return sum(_of_python(file.read_text()) if file.suffix == ".py" else _of_text(file.read_text()) for file in files)


def _of_python(text: str) -> int:
    found = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _NO_CODE:
            found.update(range(token.start[0], token.end[0] + 1))
    return len(found - _docstrings(text))


def _docstrings(text: str) -> set[int]:
    found = set[int]()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            found.update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return found


def _of_text(text: str) -> int:
    return sum(1 for line in text.splitlines() if line.strip())

"""Labels in the forms that users have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.build import labels
from model.build.errors import BuildError
from model.bundle import Tensor

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "cat\r\nwild dog\n\n"),
        ("labels.txt", "\ufeffcat\nwild dog"),
        ("list.json", '["cat", "wild dog"]'),
        ("class_index.json", '{"1": ["n02", "wild dog"], "0": ["n01", "cat"]}'),
        ("named.json", '{"0": "cat", "1": "wild dog"}'),
        ("class_indices.json", '{"wild dog": 1, "cat": 0}'),
    ],
)
def test_files_of_every_form(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert labels.read(str(tmp_path / name)) == ("cat", "wild dog")


@pytest.mark.parametrize("text", ["0 cat\n1 wild dog\n", "0: cat\r\n1: wild dog", "0\tcat\n\n1\twild dog"])
def test_numbers_before_labels_are_left_out_and_told_of(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.txt").write_text(text)
    told: list[str] = []
    assert labels.read(str(tmp_path / "labels.txt"), told.append) == ("cat", "wild dog")
    assert told == ["The lines of labels.txt are numbered from 0 on; the numbers are no part of the labels."]


@pytest.mark.parametrize(
    "lines",
    [
        ("0 cat", "dog"),
        ("1 cat", "2 dog"),
        ("1 dog", "0 cat"),
        ("0 cat", "2 dog"),
        ("0", "1"),
        ("0 stars", "1 star", "2 stars"),
        ("0.5 mm", "1 mm"),
        ("²0 cat", "1 dog"),
    ],
)
def test_other_numbers_are_part_of_the_labels(tmp_path: Path, lines: tuple[str, ...]) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(lines), encoding="utf-8")
    told: list[str] = []
    assert labels.read(str(tmp_path / "labels.txt"), told.append) == lines
    assert told == []


@pytest.mark.parametrize("form", ["utf-16-le", "utf-16-be"])
def test_text_as_powershell_writes_it(tmp_path: Path, form: str) -> None:
    (tmp_path / "labels.txt").write_bytes("\ufeffcat\r\nüber".encode(form))
    assert labels.read(str(tmp_path / "labels.txt")) == ("cat", "über")


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes("über".encode("latin-1"))
    with pytest.raises(BuildError, match=r"is no text in UTF-8 or UTF-16\. Save it as UTF-8\."):
        labels.read(str(tmp_path / "labels.txt"))


def test_on_the_command_line() -> None:
    assert labels.read("cat, wild dog") == ("cat", "wild dog")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "no JSON"),
        ("a.json", '{"0": "cat", "2": "dog"}', "not 0 to 1"),
        ("a.json", '{"cat": 0, "dog": 0}', "not 0 to"),
        ("a.json", '"cat"', "neither a list"),
        ("a.json", '["cat", ["dog"]]', "neither a list of labels"),
        ("a.json", '{"cat": true, "dog": false}', "neither a list"),
        ("a.txt", "\n", "none at all"),
        ("a.txt", "cat\ncat", "cat is there twice"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BuildError, match=message):
        labels.read(str(tmp_path / name))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="cannot be read"):
        labels.read(str(tmp_path / "labels.txt"))


def test_the_number_must_fit() -> None:
    labels.check(("cat", "dog"), Tensor("p", "float32", (None, 2)))
    labels.check(("cat", "dog"), Tensor("p", "float32", (None, 1)))
    labels.check((), Tensor("p", "float32", (None, 4, 4)))
    for shape, message in (((None, 3), "has 3 values"), ((None, 4, 4), "need a first output of")):
        with pytest.raises(BuildError, match=message):
            labels.check(("cat", "dog"), Tensor("p", "float32", shape))
    with pytest.raises(BuildError, match="so needs 2"):
        labels.check(("cat",), Tensor("p", "float32", (None, 1)))


def test_text_has_no_labels() -> None:
    with pytest.raises(BuildError, match="need a first output of numbers; 'word' is text"):
        labels.check(("cat", "dog"), Tensor("word", "string", (None, 2)))

"""The build stamp that an installed machine shows."""

import pytest

from app import release

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("stamp", "build"),
    [
        ('{"release": "1.2.3", "commit": "abc", "time": "2030-01-02T03:04:05Z"}', "abc"),
        (None, None),
        ('{"release":', None),
        ("[]", None),
    ],
)
def test_the_stamp_is_shown_where_there_is_a_whole_one(tmp_path, monkeypatch, stamp, build):
    if stamp is not None:
        (tmp_path / "BUILD").write_text(stamp)
    monkeypatch.setattr(release, "_STAMP", tmp_path / "BUILD")
    found = release.build()
    assert (found and found["commit"]) == build

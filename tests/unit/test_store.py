"""The store: AVAILABLE means proven, anything else has a reason, and the last good version stays."""

from __future__ import annotations

import contextlib
import gc
import json
import shutil
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from model import slot
from model.errors import ModelNotReady, NotAPicture, UnknownModel, UnknownVersion
from model.preprocess import Limits
from model.store import State, Store
from tests import stores
from tests.servers import short_folder, wait_for

pytestmark = pytest.mark.unit

SHIPPED = Path(__file__).parents[2] / "model" / "store"
FILES = ("bundle.json", "golden.npz", "model.keras", "model.tflite")
PHOTO = (Path(__file__).parents[1] / "data" / "cat.jpg").read_bytes()


def opened(folder: Path, **options: object) -> Store:
    store = Store(folder, Limits(), **{"default": "catdog", **options})  # type: ignore[arg-type]
    store.load()
    return store


def states(store: Store, name: str = "catdog") -> dict[str, str]:
    return {version.version: version.state.value for version in store.versions(name)}


def reason(store: Store, number: str, name: str = "catdog") -> str:
    [found] = [version for version in store.versions(name) if version.version == number]
    return found.reason


def declare(folder: Path, name: str = "catdog", **serving: object) -> None:
    (folder / name / "serving.json").write_text(json.dumps(serving))


def answering(store: Store, *arguments: str | None, **named: str) -> str:
    return store.get(*arguments, **named).bundle.version  # type: ignore[arg-type]


# --- Loading


def test_a_loaded_model_answers() -> None:
    store = opened(SHIPPED)
    assert states(store) == {"1": "AVAILABLE"}
    model = store.get("catdog")
    assert store.get() is model
    batch = model.prepare([PHOTO, PHOTO])
    scores = model.classify(batch)
    assert scores.shape == (2, 2)
    assert scores.sum(1) == pytest.approx([1, 1], abs=1e-5)
    assert np.array_equal(scores[0], scores[1])
    [output] = model.infer(batch)
    assert np.array_equal(output, scores)


def test_the_newest_version_by_number_is_taken_and_called_as_its_folder_is(tmp_path: Path) -> None:
    for version in ("9", "10"):
        shutil.copytree(SHIPPED / "catdog" / "1", tmp_path / "catdog" / version)
    (tmp_path / "catdog" / ".building-x").mkdir()
    (tmp_path / "catdog" / "011").mkdir()
    assert answering(opened(tmp_path)) == "10"


def test_unknown_models_versions_and_labels_are_told_what_there_is(tmp_path: Path) -> None:
    stores.add(tmp_path, "1")
    declare(tmp_path, labels={"stable": "1"})
    store = opened(tmp_path)
    with pytest.raises(UnknownModel, match=r"'lion' here. There is: catdog\."):
        store.get("lion")
    with pytest.raises(UnknownVersion, match=r"no version '7'\. Versions: 1\. Labels: stable\."):
        store.get("catdog", "7")
    with pytest.raises(UnknownVersion, match="no label 'canary'"):
        store.get(label="canary")
    for ask in (store.versions, store.labels, store.split, store.problem):
        with pytest.raises(UnknownModel):
            ask("lion")


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    store = opened(tmp_path)
    [version] = store.versions()
    assert (version.state, version.version) == (State.END, "")
    assert "holds no versions" in version.reason
    with pytest.raises(ModelNotReady, match="holds no versions"):
        store.get("catdog")
    assert list(store.unready()) == ["catdog"]


def test_an_engine_that_raises_leaves_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str, file: Path, threads: int) -> None:
        raise RuntimeError("native trouble")

    monkeypatch.setattr("model.engines.load", broken)
    store = opened(SHIPPED)
    assert states(store) == {"1": "END"}
    with pytest.raises(ModelNotReady, match="RuntimeError while loading"):
        store.get("catdog")


def test_with_several_pictures_the_bad_one_is_numbered() -> None:
    with pytest.raises(NotAPicture, match="Image 2 of 3"):
        opened(SHIPPED).get("catdog").prepare([PHOTO, b"text", PHOTO])


# --- What is not good never serves


def no_manifest(folder: Path) -> None:
    (folder / "bundle.json").unlink()


def missing(folder: Path) -> None:
    (folder / "golden.npz").unlink()


def cut_off(folder: Path) -> None:
    with (folder / "model.keras").open("r+b") as file:
        file.truncate(1000)


DAMAGES = {
    no_manifest: "bundle.json is missing",
    missing: "golden.npz is missing",
    cut_off: "model.keras is incomplete",
    stores.corrupt: "checksum differs",
    stores.lie: "golden answers differ",
}
INCOMPLETE = (no_manifest, missing, cut_off)
DAMAGED = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


@DAMAGED
def test_a_bad_version_never_serves_and_the_last_good_one_stays(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    stores.add(tmp_path, "1")
    running = opened(tmp_path)
    model = running.get()
    damage(stores.add(tmp_path, "2"))
    running.load()
    starting = opened(tmp_path)
    for store in (running, starting):
        assert answering(store) == "1"
        assert states(store) == {"2": "START" if damage in INCOMPLETE else "END", "1": "AVAILABLE"}
        assert DAMAGES[damage] in reason(store, "2")
        with pytest.raises(ModelNotReady, match=DAMAGES[damage]):
            store.get(version="2")
        assert store.unready() == {}
    assert running.get() is model


@DAMAGED
def test_a_version_that_is_damaged_while_it_serves_goes_on_from_memory(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    folder = stores.add(tmp_path, "1")
    store = opened(tmp_path)
    model = store.get()
    damage(folder)
    store.load()
    assert store.get() is model
    assert states(store) == {"1": "AVAILABLE"}
    assert DAMAGES[damage] in reason(store, "1")
    assert model.classify(model.prepare([PHOTO])).shape == (1, 2)


@DAMAGED
def test_a_bad_version_serves_once_it_is_repaired(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    stores.add(tmp_path, "1")
    folder = stores.add(tmp_path, "2")
    damage(folder)
    store = opened(tmp_path)
    whole = stores.prepared(tmp_path / ".whole", "2")
    for name in FILES:
        shutil.copy(whole / name, folder)
    for _ in range(3):  # after a failure the folder must rest for a look
        store.load()
    assert answering(store) == "2"
    assert states(store) == {"2": "AVAILABLE", "1": "END"}


@pytest.mark.parametrize("damage", INCOMPLETE, ids=lambda damage: damage.__name__)
def test_an_incomplete_version_is_at_its_start_while_its_files_come_and_then_at_its_end(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    folder = stores.add(tmp_path, "1", damage=damage)
    store = opened(tmp_path)
    for _ in range(2):
        for _ in range(slot.LOOKS_TO_COPY):
            [version] = store.versions()
            assert (version.state, version.failed) == (State.START, False)
            assert DAMAGES[damage] in version.reason
            with pytest.raises(ModelNotReady, match=f"START, .*{DAMAGES[damage]}"):
                store.get(version="1")
            store.load()
        [version] = store.versions()
        assert (version.state, version.failed) == (State.END, True)
        assert DAMAGES[damage] in version.reason
        (folder / ".model.tflite.part").touch()  # as a copy begins
        store.load()


# --- Change


@pytest.mark.parametrize("order", ["manifest first", "manifest last"])
def test_a_version_that_is_copied_slowly_serves_when_it_is_whole(tmp_path: Path, order: str) -> None:
    stores.add(tmp_path, "1")
    store = opened(tmp_path)
    source = stores.prepared(tmp_path / ".source", "2")
    target = tmp_path / "catdog" / "2"
    target.mkdir()
    for name in FILES if order == "manifest first" else reversed(FILES):
        data = (source / name).read_bytes()
        for part in (data[: len(data) // 2], data[len(data) // 2 :]):
            assert answering(store) == "1"
            with (target / name).open("ab") as file:
                file.write(part)
            store.load()
    for _ in range(3):
        store.load()
    assert answering(store) == "2"


def test_a_file_of_the_right_size_that_is_still_being_written_is_tried_again(tmp_path: Path) -> None:
    stores.add(tmp_path, "1")
    store = opened(tmp_path)
    folder = stores.add(tmp_path, "2")
    good = (folder / "model.tflite").read_bytes()
    with (folder / "model.tflite").open("r+b") as file:
        file.write(bytes(1000))
        file.flush()
        store.load()
        assert "checksum differs" in reason(store, "2")
        file.seek(0)
        file.write(good[:1000])
    store.load()
    assert answering(store) == "1"  # it has only just changed
    store.load()
    assert answering(store) == "2"


def test_a_build_under_the_same_number_is_loaded_anew(tmp_path: Path) -> None:
    folder = stores.add(tmp_path, "1")
    store = opened(tmp_path)
    before = store.get()
    stores.edit(folder, lambda data: data.update(labels=["new", "other"]))
    store.load()
    assert store.get().bundle.labels == ("new", "other")
    assert before.classify(before.prepare([PHOTO])).shape == (1, 2)  # a request that holds it goes on


def test_files_that_were_only_touched_are_not_loaded_anew(tmp_path: Path) -> None:
    folder = stores.add(tmp_path, "1")
    store = opened(tmp_path)
    before = store.get()
    for path in folder.iterdir():
        path.touch()
    store.load()
    assert store.get() is before


def test_a_label_that_names_no_version_there_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stores.add(tmp_path, "1")
    declare(tmp_path, labels={"stable": "9"}, split={"stable": 90, "7": 10})
    store = opened(tmp_path)
    said = (
        "catdog/serving.json: label 'stable' names version 9, which is not in the store; "
        "split names version 7, which is not in the store"
    )
    for _ in range(2):
        assert (answering(store), store.problem("catdog")) == ("1", said)
        store.load()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"model catdog: {said}"
    ]
    declare(tmp_path, labels={"stable": "1"})
    store.load()
    assert store.problem("catdog") == ""


def test_a_label_that_names_a_version_which_fails_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stores.add(tmp_path, "1")
    stores.lie(stores.add(tmp_path, "2"))
    declare(tmp_path, labels={"stable": "1"})
    store = opened(tmp_path)
    assert (answering(store), store.problem("catdog")) == ("1", "")
    declare(tmp_path, labels={"stable": "2"})
    for _ in range(3):
        store.load()
    assert (answering(store), store.labels("catdog")) == ("1", {"stable": "1"})
    said = store.problem("catdog")
    assert said.startswith("catdog/serving.json: label 'stable' names version 2, which is at its END: ")
    assert "golden answers differ" in said
    assert caplog.text.count(said) == 1
    declare(tmp_path, labels={"stable": "1"})
    store.load()
    assert store.problem("catdog") == ""


def test_a_labelled_version_that_is_removed_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = stores.add(tmp_path, "1")
    stores.add(tmp_path, "2")
    declare(tmp_path, labels={"stable": "1"})
    store = opened(tmp_path)
    assert (answering(store), store.problem("catdog")) == ("1", "")
    shutil.rmtree(folder)
    store.load()
    assert answering(store) == "2"
    assert store.problem("catdog") == "catdog/serving.json: label 'stable' names version 1, which is not in the store"
    assert store.problem("catdog") in caplog.text


def test_a_removed_version_is_unloaded_and_the_one_before_takes_over(tmp_path: Path) -> None:
    stores.add(tmp_path, "1")
    folder = stores.add(tmp_path, "2")
    told: list[tuple[str, str]] = []  # not the versions themselves: they hold their models
    store = opened(tmp_path, on_change=lambda version: told.append((version.version, version.state.value)))
    assert states(store) == {"2": "AVAILABLE", "1": "END"}
    told.clear()
    shutil.rmtree(folder)
    store.load()
    assert answering(store) == "1"
    assert states(store) == {"1": "AVAILABLE"}
    assert told.index(("1", "AVAILABLE")) < told.index(("2", "UNLOADING")) < told.index(("2", "END"))


def test_each_try_to_load_is_told(tmp_path: Path) -> None:
    stores.add(tmp_path, "1")
    broken = stores.add(tmp_path, "2")
    file = broken / "golden.npz"
    file.write_bytes(bytes(file.stat().st_size))
    told: list[tuple[str, str, str]] = []
    opened(tmp_path, on_load=lambda name, version, seconds, outcome: told.append((name, version, outcome)))
    assert told == [("catdog", "2", "failed"), ("catdog", "1", "available")]


def test_the_last_version_may_be_removed_and_another_put_there(tmp_path: Path) -> None:
    folder = stores.add(tmp_path, "1")
    store = opened(tmp_path)
    shutil.rmtree(folder)
    store.load()
    with pytest.raises(ModelNotReady, match="holds no versions"):
        store.get()
    assert list(store.unready()) == ["catdog"]
    stores.add(tmp_path, "5")
    store.load()
    assert answering(store) == "5"


@pytest.mark.parametrize("victim", ["bundle.json", "golden.npz", "model.tflite", ""])
def test_a_version_that_vanishes_while_it_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str) -> None:
    stores.add(tmp_path, "1")
    store = opened(tmp_path)
    folder = stores.add(tmp_path, "2")
    from model import engines

    load = engines.load

    def vanishing(name: str, file: Path, threads: int) -> engines.Engine:
        if file.parent == folder:
            (folder / victim).unlink() if victim else shutil.rmtree(folder)
        return load(name, file, threads)

    monkeypatch.setattr("model.engines.load", vanishing)
    store.load()
    store.load()
    assert answering(store) == "1"
    assert store.unready() == {}
    assert states(store) == ({"2": "START", "1": "AVAILABLE"} if victim else {"1": "AVAILABLE"})


def test_a_model_that_left_is_freed_once_its_last_request_is_done(tmp_path: Path) -> None:
    stores.add(tmp_path, "1")
    store = opened(tmp_path)
    held = store.get()
    engine = weakref.ref(held.engine)
    stores.add(tmp_path, "2")
    gc.disable()  # reference counts alone must do
    try:
        store.load()
        assert states(store)["1"] == "UNLOADING"
        assert held.classify(held.prepare([PHOTO])).shape == (1, 2)
        del held
        assert engine() is None
    finally:
        gc.enable()
    store.load()
    assert states(store)["1"] == "END"


def test_a_store_that_cannot_be_read_is_not_one_that_was_emptied(tmp_path: Path) -> None:
    """As when a network disk goes away."""
    stores.add(tmp_path / "store", "1")
    store = opened(tmp_path / "store")
    (tmp_path / "store").rename(tmp_path / "away")
    store.load()
    assert answering(store) == "1"
    assert store.unready() == {}
    stores.add(tmp_path / "away", "2")
    (tmp_path / "away").rename(tmp_path / "store")
    store.load()
    assert answering(store) == "2"


def test_one_odd_manifest_does_not_keep_others_from_being_read(tmp_path: Path) -> None:
    stores.edit(stores.add(tmp_path, "1"), lambda data: data["preprocessing"].update(method={}))
    (stores.add(tmp_path, "2") / "bundle.json").write_text("[" * 100_000)
    stores.add(tmp_path, "1", name="pets")
    store = opened(tmp_path, default="pets")
    for _ in range(slot.LOOKS_TO_COPY):
        store.load()
    assert answering(store) == "1"
    assert states(store) == {"2": "END", "1": "END"}
    assert "cannot be read" in reason(store, "1")


def test_a_store_is_followed_until_it_is_closed(tmp_path: Path) -> None:
    stores.add(tmp_path, "1")
    store = Store(tmp_path, Limits(), default="catdog")
    store.watch(seconds=0.01)
    try:
        store.wait(60)
        assert answering(store) == "1"
        stores.add(tmp_path, "2")
        wait_for(lambda: answering(store) == "2", "version 2")
        wait_for(lambda: states(store)["1"] == "END", "version 1 to go")
    finally:
        store.close()


# --- Policy, labels and split


def test_policies(tmp_path: Path) -> None:
    for number in ("1", "2", "3"):
        stores.add(tmp_path, number)
    store = opened(tmp_path)
    assert states(store) == {"3": "AVAILABLE", "2": "END", "1": "END"}
    assert "the policy is newest 1" in reason(store, "2")
    for policy, loaded in (("newest 2", "32"), ("all", "321"), (["1"], "1"), (["1", "9"], "1"), ("newest 1", "3")):
        declare(tmp_path, versions=policy)
        store.load()
        assert [version for version, state in states(store).items() if state == "AVAILABLE"] == list(loaded), policy
        assert answering(store) == loaded[0]


def test_labels_decide_and_move(tmp_path: Path) -> None:
    for number in ("1", "2", "3"):
        stores.add(tmp_path, number)
    declare(tmp_path, labels={"stable": "1", "canary": "2"})
    store = opened(tmp_path)
    assert states(store) == {"3": "AVAILABLE", "2": "AVAILABLE", "1": "AVAILABLE"}
    assert (answering(store), answering(store, label="canary"), answering(store, version="3")) == ("1", "2", "3")
    assert store.labels("catdog") == {"stable": "1", "canary": "2"}
    declare(tmp_path, labels={"stable": "2"})
    store.load()
    assert answering(store) == "2"
    assert states(store) == {"3": "AVAILABLE", "2": "AVAILABLE", "1": "END"}
    (tmp_path / "catdog" / "serving.json").unlink()
    store.load()
    assert answering(store) == "3"


def test_a_label_stays_where_it_was_until_its_new_version_is_good(tmp_path: Path) -> None:
    stores.add(tmp_path, "1")
    stores.corrupt(stores.add(tmp_path, "2"))
    declare(tmp_path, labels={"stable": "1"})
    store = opened(tmp_path)
    for number in ("2", "7"):
        declare(tmp_path, labels={"stable": number})
        store.load()
        assert (answering(store), answering(store, label="stable")) == ("1", "1")
    starting = opened(tmp_path)
    assert answering(starting) == "1"
    with pytest.raises(UnknownVersion, match="'7'"):
        starting.get(label="stable")


def test_a_broken_serving_file_keeps_what_was_in_force(tmp_path: Path) -> None:
    for number in ("1", "2"):
        stores.add(tmp_path, number)
    declare(tmp_path, labels={"stable": "1"})
    store = opened(tmp_path)
    declare(tmp_path, labels={"stable": 2}, version="all")
    store.load()
    assert answering(store) == "1"
    assert "unknown key 'version'" in store.problem("catdog")
    declare(tmp_path, labels={"stable": "2"})
    store.load()
    assert answering(store) == "2"
    assert store.problem("catdog") == ""


def test_a_split_sticks_to_clients_and_its_failed_canary_gives_way(tmp_path: Path) -> None:
    for number in ("1", "2"):
        stores.add(tmp_path, number)
    declare(tmp_path, labels={"stable": "1", "canary": "2"}, split={"stable": 70, "canary": 30})
    store, other = opened(tmp_path), opened(tmp_path)
    clients = [f"client {number}" for number in range(2000)]
    got = [answering(store, client=client) for client in clients]
    assert got == [answering(other, client=client) for client in clients]
    assert got.count("2") == pytest.approx(600, abs=80)
    assert store.split("catdog") == {"stable": 70, "canary": 30}
    assert answering(store, version="1", client="client 1") == "1"
    declare(tmp_path, labels={"stable": "1", "canary": "2"}, split={"canary": 30, "stable": 70})
    store.load()
    assert got == [answering(store, client=client) for client in clients]
    shutil.rmtree(tmp_path / "catdog" / "2")
    store.load()
    assert {answering(store, client=client) for client in clients} == {"1"}


# --- Several models


def test_all_models_are_served_or_those_that_are_named(tmp_path: Path) -> None:
    stores.add(tmp_path, "1")
    stores.add(tmp_path, "4", name="pets")
    (tmp_path / "empty").mkdir()
    store = opened(tmp_path)
    assert store.names() == ["catdog", "pets"]
    assert (answering(store), answering(store, "pets")) == ("1", "4")
    assert opened(tmp_path, models=["catdog"]).names() == ["catdog"]
    shutil.rmtree(tmp_path / "pets")
    store.load()
    assert store.names() == ["catdog"]


def test_what_makes_a_process_unready(tmp_path: Path) -> None:
    stores.add(tmp_path, "1")
    stores.corrupt(stores.add(tmp_path, "1", name="pets"))
    assert opened(tmp_path).unready() == {}
    assert list(opened(tmp_path, models=["catdog", "pets"]).unready()) == ["pets"]
    assert list(opened(tmp_path, default="pets").unready()) == ["pets"]
    assert list(Store(tmp_path, Limits(), default="catdog").unready()) == ["catdog"]


def test_a_model_is_unloaded_and_loaded_again_where_the_store_says_so(tmp_path: Path) -> None:
    stores.add(tmp_path, "1")
    stores.add(tmp_path, "2")
    declare(tmp_path, labels={"stable": "1"}, split={"1": 50, "2": 50})
    store = opened(tmp_path)
    assert states(store) == {"1": "AVAILABLE", "2": "AVAILABLE"}
    store.declare("catdog", served=False)
    store.load()
    assert states(store) == {"1": "END", "2": "END"}
    assert "Unloaded" in reason(store, "1")
    with pytest.raises(ModelNotReady, match="not served"):
        store.get()
    assert store.unready() == {}  # on purpose
    store.declare("catdog", served=True)
    store.load()
    assert states(store) == {"1": "AVAILABLE", "2": "AVAILABLE"}
    assert store.labels("catdog") == {"stable": "1"}
    with pytest.raises(UnknownModel):
        store.declare("lion", served=False)


def test_a_store_that_starts_unloaded_is_ready(tmp_path: Path) -> None:
    stores.add(tmp_path, "1")
    declare(tmp_path, served=False)
    store = opened(tmp_path)
    assert states(store) == {"1": "END"}
    assert store.unready() == {}


@contextlib.contextmanager
def readable_store() -> Iterator[Path]:
    """Where nobody may look, too: pytest's own folders are root's alone."""
    opened(SHIPPED)  # imports what nobody may not be allowed to
    with short_folder() as folder:
        folder.chmod(0o755)
        yield folder


@pytest.mark.parametrize("closed", ["1", "2", ""])
def test_what_may_not_be_read_is_named(caplog: pytest.LogCaptureFixture, closed: str) -> None:
    """As after a copy with umask 077, by root. Another version answers."""
    with readable_store() as folder:
        for version in ("1", "2"):
            stores.prepared(folder / "catdog" / version, version)
        with stores.shut(folder / "catdog" / closed), stores.as_nobody():
            store = opened(folder)
    assert f"{'/'.join(('catdog', closed)).rstrip('/')} cannot be read: Permission denied" in caplog.text
    if closed:
        assert states(store) == {closed: "END", {"1": "2", "2": "1"}[closed]: "AVAILABLE"}
        assert reason(store, closed) == f"catdog/{closed} cannot be read: Permission denied"


def test_a_folder_that_may_not_be_read_hides_no_other_model(caplog: pytest.LogCaptureFixture) -> None:
    with readable_store() as folder:
        stores.prepared(folder / "catdog" / "1", "1")
        stores.prepared(folder / "pets" / "4", "4")
        (folder / "backup").mkdir()
        with stores.shut(folder / "backup"), stores.as_nobody():
            store = opened(folder)
            store.load()
            assert answering(store, "pets") == "4"
            assert (states(store, "backup"), store.unready()) == ({"": "END"}, {})
            assert reason(store, "", "backup") == "backup cannot be read: Permission denied"
            assert caplog.text.count("backup cannot be read") == 1
        store.load()  # it can be read now, and is empty
    assert store.names() == ["catdog", "pets"]


def test_a_version_that_may_not_be_read_does_not_keep_labels_from_being_followed() -> None:
    with readable_store() as folder:
        for version in ("1", "3", "9"):
            stores.prepared(folder / "catdog" / version, version)
        declare(folder, labels={"stable": "1"})
        with stores.shut(folder / "catdog" / "9"), stores.as_nobody():
            store = opened(folder)
            assert (answering(store), states(store)["9"], store.problem("catdog")) == ("1", "END", "")
        declare(folder, labels={"stable": "3"})
        with stores.shut(folder / "catdog" / "9"), stores.as_nobody():
            store.load()
            assert answering(store) == "3"
        store.load()
        assert states(store)["9"] == "AVAILABLE"
        with stores.shut(folder / "catdog" / "9"), stores.as_nobody():
            store.load()
        assert states(store)["9"] == "AVAILABLE"
        assert reason(store, "9") == "The build loaded before stays: catdog/9 cannot be read: Permission denied"
        loaded = store.get(version="9")
        store.load()
        assert (reason(store, "9"), store.get(version="9")) == ("", loaded)


@pytest.mark.parametrize(
    ("target", "why"), [("/nowhere/pets", "No such file or directory"), ("pets", "Too many levels of symbolic links")]
)
def test_a_link_to_what_is_out_of_reach_is_told(tmp_path: Path, target: str, why: str) -> None:
    """A model's and a version's; any other file's is no matter. What it leads to may not be mounted."""
    folder = stores.add(tmp_path, "1")
    stores.add(tmp_path, "7", name="zebra")
    (tmp_path / "pets").symlink_to(target)
    (tmp_path / "catdog" / "2").symlink_to(target if "/" in target else "2")
    (folder / "README").symlink_to(target if "/" in target else "README")
    store = opened(tmp_path)
    assert store.names() == ["catdog", "pets", "zebra"]
    assert reason(store, "", "pets") == f"pets cannot be read: {why}"
    assert (answering(store), answering(store, "zebra")) == ("1", "7")
    assert reason(store, "2") == f"catdog/2 cannot be read: {why}"


def test_a_link_into_a_folder_that_may_not_be_entered_is_told() -> None:
    """As with a home under ProtectHome."""
    with readable_store() as folder, readable_store() as home:
        stores.prepared(folder / "catdog" / "1", "1")
        stores.prepared(folder / "zebra" / "7", "7")
        stores.prepared(home / "pets" / "1", "1")
        (folder / "pets").symlink_to(home / "pets")
        (folder / "catdog" / "2").symlink_to(home / "pets" / "1")
        with stores.shut(home), stores.as_nobody():
            store = opened(folder)
        assert (answering(store), answering(store, "zebra")) == ("1", "7")
        assert reason(store, "", "pets") == "pets cannot be read: Permission denied"
        assert reason(store, "2") == "catdog/2 cannot be read: Permission denied"
        store.load()
        assert (answering(store, "pets"), states(store)["2"]) == ("1", "AVAILABLE")


def test_a_link_whose_disk_goes_away_goes_on_as_before(tmp_path: Path) -> None:
    home = stores.add(tmp_path / "disk", "1").parent
    stores.add(tmp_path / "disk", "2")
    declare(tmp_path / "disk", labels={"stable": "1"})
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "catdog").symlink_to(home)
    store = opened(tmp_path / "store")
    assert answering(store) == "1"
    home.rename(tmp_path / "gone")
    store.load()
    assert answering(store) == "1"
    assert store.problem("catdog") == "catdog cannot be read: No such file or directory"


def test_a_file_that_is_out_of_reach_is_told(tmp_path: Path) -> None:
    folder = stores.add(tmp_path, "1")
    (folder / "model.tflite").unlink()
    (folder / "model.tflite").symlink_to("model.tflite")
    assert reason(opened(tmp_path), "1") == "catdog/1: model.tflite cannot be read."

"""The building blocks of provision.sh, and the command that it installs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import node

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
IMAGE = ROOT / "deploy" / "image"


class Machine:
    """A folder with what a run writes: shipped files in `ships`, files in force in `etc`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "etc" / "some.conf"
        for name in ("notes", "ships", "etc"):
            (folder / name).mkdir()

    def run(self, kind: str, ships: str) -> str:
        """One run that ships this text as `conffile` or `file`. Returns what it said, the count of changes last."""
        shipped = self.folder / "ships" / "some.conf"
        shipped.write_text(ships)
        owner = f"{self.file.owner()}:{self.file.group()}" if self.file.exists() else "$(id -un):$(id -gn)"
        code = f'. {IMAGE}/blocks.sh; {kind} {shipped} {self.file} 0644 "{owner}"; echo "wrote=$wrote changed=$changes"'
        environment = {"notes": str(self.folder / "notes"), "PATH": os.environ["PATH"]}
        done = subprocess.run(["bash", "-c", f"umask 022; {code}"], env=environment, capture_output=True, text=True)
        assert done.stderr == ""
        return done.stdout

    @property
    def beside(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.file.parent.iterdir() if path != self.file}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_untouched_file_follows_what_ships(machine: Machine) -> None:
    assert machine.run("conffile", "one").endswith("wrote=yes changed=1\n")
    assert machine.run("conffile", "one") == "wrote= changed=0\n"
    assert machine.run("conffile", "two").endswith("wrote=yes changed=1\n")
    assert (machine.file.read_text(), machine.beside) == ("two", {})


def test_a_changed_file_stays_and_the_newer_one_lies_beside_it_until_it_is_removed(machine: Machine) -> None:
    machine.run("conffile", "one")
    machine.file.write_text("mine")
    assert machine.run("conffile", "one") == "wrote= changed=0\n"  # nothing newer to compare with
    said = machine.run("conffile", "two")
    assert f"diff {machine.file} {machine.file}.kiln-new" in said
    assert said.endswith("wrote= changed=1\n")
    assert (machine.file.read_text(), machine.beside) == ("mine", {"some.conf.kiln-new": "two"})
    again = machine.run("conffile", "two")
    assert "NOTE" in again
    assert again.endswith("wrote= changed=0\n")
    (machine.file.parent / "some.conf.kiln-new").unlink()
    assert machine.run("conffile", "two") == "wrote= changed=0\n"
    assert machine.file.read_text() == "mine"


def test_a_newer_file_that_was_taken_over_is_followed_again(machine: Machine) -> None:
    machine.run("conffile", "one")
    machine.file.write_text("mine")
    machine.run("conffile", "two")
    machine.file.write_text("two")
    assert "NOTE" not in machine.run("conffile", "two")
    assert machine.beside == {}
    machine.run("conffile", "three")
    assert machine.file.read_text() == "three"


def test_a_file_of_unknown_origin_stays(machine: Machine) -> None:
    """A node from before there were copies to compare with."""
    machine.file.write_text("whose?")
    assert "NOTE" in machine.run("conffile", "one")
    assert (machine.file.read_text(), machine.beside) == ("whose?", {"some.conf.kiln-new": "one"})


def test_a_unit_is_replaced_and_what_was_changed_by_hand_is_kept(machine: Machine) -> None:
    assert machine.run("file", "one").endswith("wrote=yes changed=1\n")
    assert machine.run("file", "two").endswith("wrote=yes changed=1\n")
    assert machine.beside == {}
    machine.file.write_text("mine")
    assert "drop-in" in machine.run("file", "two")
    assert (machine.file.read_text(), machine.beside) == ("two", {"some.conf.kiln-old": "mine"})


@pytest.mark.parametrize("kind", ["conffile", "file"])
def test_what_an_interrupted_run_left_half_written_is_removed(machine: Machine, kind: str) -> None:
    machine.run(kind, "one")
    for left in ("some.conf.new", "some.conf.kiln-new.new")[: 2 if kind == "conffile" else 1]:
        (machine.file.parent / left).write_text("ha")
    assert machine.run(kind, "one") == "wrote= changed=0\n"
    assert machine.beside == {}


def test_the_owners_files_are_taken_and_what_else_is_there_stays(machine: Machine) -> None:
    (machine.folder / "ships" / "deep").mkdir()
    (machine.folder / "ships" / "deep" / "new").write_text("new")
    (machine.folder / "etc" / "mine").write_text("mine")
    code = f". {IMAGE}/blocks.sh; for from in {machine.folder}/ships/deep {machine.folder}/ships/some.conf; do "
    code += f'files $from {machine.folder}/etc/${{from##*/}} 0640 "$(id -un):$(id -gn)"; echo "wrote=$wrote"; done; '
    code += f'files {machine.folder}/none {machine.folder}/etc 0640 x:x; echo "wrote=$wrote changed=$changes"'
    (machine.folder / "ships" / "some.conf").write_text("one")
    environment = {"notes": str(machine.folder / "notes"), "PATH": os.environ["PATH"]}
    for wrote, changes in (("yes", 2), ("", 0)):
        said = subprocess.check_output(["bash", "-c", f"umask 022; {code}"], env=environment, text=True)
        assert said.count(f"wrote={wrote}\n") == 2
        assert said.endswith(f"wrote= changed={changes}\n")
    etc = machine.folder / "etc"
    assert {name: (etc / name).read_text() for name in ("mine", "some.conf", "deep/new")} == {
        "mine": "mine",
        "some.conf": "one",
        "deep/new": "new",
    }
    assert (etc / "deep" / "new").stat().st_mode & 0o777 == 0o640


def test_a_key_is_there_with_its_rights_or_not_at_all(machine: Machine) -> None:
    key = machine.folder / "ships" / "key.pem"
    key.write_text("secret")
    key.chmod(0o644)
    code = f'mv() {{ stat -c "%a before it has its name" "$1"; command mv "$@"; }}; . {IMAGE}/blocks.sh; '
    code += f'files {key} {machine.folder}/etc/key.pem 0600 "$(id -un):$(id -gn)"'
    environment = {"notes": str(machine.folder / "notes"), "PATH": os.environ["PATH"]}
    said = subprocess.check_output(["bash", "-c", f"umask 022; {code}"], env=environment, text=True)
    assert said.startswith("600 before it has its name\n")


@pytest.mark.parametrize(
    ("extras", "pins"),
    [
        ("", "serve.txt"),
        ("keras", "keras.txt"),
        ("tracing keras", "keras.txt tracing.txt"),
        ("keras tracing keras", "keras.txt tracing.txt"),
    ],
)
def test_the_order_of_extras_makes_no_other_environment(extras: str, pins: str) -> None:
    (line,) = re.findall("^mapfile -t pins .*$", (IMAGE / "provision.sh").read_text(), re.MULTILINE)
    code = f'set -euo pipefail; extras=({extras}); {line}; echo "${{pins[*]}}"'
    assert subprocess.check_output(["bash", "-c", code], text=True) == f"{pins}\n"


# --- The command


def test_the_command_takes_the_settings_of_the_service(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILN_CWD", str(tmp_path))
    for name in ("KILN_STORE", "KILN_API_KEYS"):
        monkeypatch.setenv(name, "gone")  # so that it is restored
    settings, keys = tmp_path / "kiln.env", tmp_path / "keys"
    settings.write_text(f"# mine\nKILN_STORE={ROOT}/model/store\nKILN_API_KEYS={keys}\n")
    assert node.main(["models"], settings) == 0
    assert re.search(r"^catdog +1 +intact", capsys.readouterr().out, re.MULTILINE)
    assert node.main(["keys", "add", "phone"], settings) == 0
    assert keys.read_text().startswith("phone sha256:")
    capsys.readouterr()
    assert node.main([], settings) == 0
    usage = capsys.readouterr().out
    assert all(f"\n  {name} " in usage for name in node.COMMANDS)
    assert node.main(["bake"], settings) == 2
    assert "there is no command bake" in capsys.readouterr().err


def test_the_command_says_what_systemd_ignores_in_the_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILN_STORE", "gone")  # so that it is restored
    settings = tmp_path / "kiln.env"
    settings.write_bytes(f"# caf\xe9\nexport KILN_PORT=1\nKILN_STORE='{ROOT}/model/store".encode("latin-1"))
    assert node.main(["models"], settings) == 0
    told = capsys.readouterr()
    assert re.search(r"^catdog +1 +intact", told.out, re.MULTILINE)
    assert f"kiln: {settings}, line 2: systemd knows no export" in told.err
    assert f"kiln: {settings}, line 3: the quote is not closed" in told.err


def check(home: Path, settings: Path) -> tuple[int, str]:
    """(exit status, what it says) of the check of the code in `home` with these settings."""
    code = "import pathlib, sys; from deploy import node; "
    code += f"sys.exit(node.main(['--check'], pathlib.Path({str(settings)!r})))"
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=home, capture_output=True, text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("", ""),
        ("KILN_THREADS=none\nKILN_COLOUR=red\n", "KILN_COLOUR"),
        ("KILN_STORE=/nowhere\n", ""),  # a node without a model yet
        ("KILN_API_KEYS=/nowhere\n", "/nowhere"),
    ],
)
def test_new_code_is_asked_whether_it_takes_the_settings(lines: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "kiln.env").write_text(lines)
    status, said = check(ROOT, tmp_path / "kiln.env")
    assert (status, says in said) == (1 if says else 0, True), said


@pytest.mark.slow
def test_new_code_is_asked_whether_the_models_answer_with_it(tmp_path: Path) -> None:
    home, settings = tmp_path / "home", tmp_path / "kiln.env"
    home.mkdir()
    for name in ("app", "deploy", "model"):
        shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "api.py", home)
    settings.write_text(f"KILN_STORE={home}/model/store\n")
    engine = home / "model" / "engines" / "litert.py"
    routes = (home / "app" / "routes.py").read_text()
    (home / "app" / "routes.py").write_text("raise ImportError")
    assert check(home, settings) == (1, "kiln: ImportError()\n")
    (home / "app" / "routes.py").write_text(routes)
    engine.write_text(f"{engine.read_text()}\n\ndef load(file, threads):\n    raise RuntimeError('boom')\n")
    status, said = check(home, settings)
    assert status == 1
    assert "Model catdog would not answer" in said
    assert "boom" in said
    shutil.rmtree(home / "model" / "store" / "catdog")
    assert check(home, settings) == (0, "")


def test_code_that_cannot_be_imported_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "SERVES", ("not_in_this_environment",))
    assert node.main(["--check"], Path("/nowhere")) == 1
    assert "not_in_this_environment" in capsys.readouterr().err


def test_the_installed_command_is_for_the_folder_of_the_node() -> None:
    assert "cd /opt/kiln && exec venv/bin/python -B -m deploy.node" in (IMAGE / "kiln").read_text()
    assert "/usr/local/bin/kiln" in (IMAGE / "provision.sh").read_text()


# --- What is read on a node


def code_of_a_node(out: Path, *options: str | Path) -> Path:
    """What provision.sh installs of a checkout, as `./kiln bake --target packer` packs it."""
    bake = [IMAGE / "bake.sh", "--target", "packer", "--out", out, "--cache", out / "cache", *options]
    subprocess.run(bake, check=True, capture_output=True)
    subprocess.run(["tar", "-C", out, "-xzf", out / "packer" / "kiln.tar.gz"], check=True)
    return out


def test_what_an_installed_file_points_to_is_installed(tmp_path: Path) -> None:
    home = code_of_a_node(tmp_path)
    script = (home / "deploy" / "image" / "provision.sh").read_text()
    [pages] = re.findall(r"^pages=\((.*?)\)", script, re.MULTILINE)
    assert set(pages.split()) == {path.name for path in home.glob("*.md")}
    assert "for part in app model deploy docs; do gather" in script
    for file in (home / "deploy" / "systemd").iterdir():
        for name in re.findall(r"/opt/kiln/(\S+\.md)", file.read_text()):
            assert (home / name).is_file(), f"{file.name}: {name}"
        assert not re.search(r"(?<!/)\bREADME\.md", file.read_text()), file.name  # of which folder?
    missing = [
        f"{page.relative_to(home)}: {target}"
        for page in (*home.glob("*.md"), *(home / "docs").glob("*.md"), home / "deploy" / "image" / "README.md")
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert missing == []


def test_the_templates_take_what_is_the_owners(tmp_path: Path) -> None:
    (tmp_path / "mine" / "etc" / "kiln").mkdir(parents=True)
    (tmp_path / "mine" / "etc" / "kiln" / "keys").write_text("secret")
    home = code_of_a_node(tmp_path, "--own", tmp_path / "mine")
    assert (home / "own" / "etc" / "kiln" / "keys").read_text() == "secret"
    assert (home / "packer" / "kiln.tar.gz").stat().st_mode & 0o777 == 0o600
    assert "/run/kiln-source/own" in (home / "packer" / "kiln.pkr.hcl").read_text()

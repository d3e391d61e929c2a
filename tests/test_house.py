"""The house itself: what gets imported, what the wheel holds, whether the documents are true."""

import re
import resource
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import fedgen

ROOT = Path(__file__).parents[1]
HEAVY = ("numpy", "scipy", "pyarrow", "rich", "networkx", "numba", "powerlaw", "matplotlib", "msgspec")
LIGHT = ("typer", "pydantic")
PACKAGES = ("fedgen", "fitting", "gen", "validate")


def loaded_after(code: str) -> set[str]:
    """The libraries of HEAVY and LIGHT that are loaded after ``code`` has run in a fresh interpreter."""
    code = f"import sys\ntry:\n    {code}\nfinally:\n    print('\\n' + ' '.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return {*HEAVY, *LIGHT} & set(done.stderr.splitlines()[-1].split())


class TestImports:
    def test_the_probe_sees_what_is_loaded(self) -> None:
        assert "numpy" in loaded_after("import numpy")

    @pytest.mark.parametrize(
        "code",
        [
            "import fedgen",
            "import fedgen; fedgen.FedgenError",
            "from fedgen.cli.commands import run; run(['--help'])",
            "from fedgen.cli.commands import run; run(['sample', '--help'])",
            "from fedgen.cli.commands import run; run(['--version'])",
            "import fitting, gen, validate",
        ],
    )
    def test_nothing_heavy(self, code: str) -> None:
        assert loaded_after(code) & set(HEAVY) == set()

    def test_the_entry_point_is_there_before_anything_that_takes_time(self) -> None:
        assert {"typer", "pydantic"} & loaded_after("import fedgen.cli; fedgen.cli.main") == set()
        assert "typer" in loaded_after("import fedgen.cli.commands")

    def test_help_is_quick(self) -> None:
        def seconds() -> float:
            """Of a processor: what else runs on the machine does not count."""
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-m", "fedgen.cli", "--help"], capture_output=True, check=True, timeout=60)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

        assert min(seconds() for _ in range(5)) < 0.3


class TestFace:
    @pytest.mark.parametrize("name", fedgen.__all__)
    def test_every_name_is_there(self, name: str) -> None:
        assert getattr(fedgen, name).__name__ == name
        assert name in dir(fedgen)

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        with pytest.raises(AttributeError, match=r"'smaple'.*sample"):
            fedgen.smaple  # noqa: B018


class TestDocuments:
    def project(self) -> dict[str, object]:
        project: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        return project

    def test_one_version(self) -> None:
        version = fedgen.__version__
        assert self.project()["version"] == version
        assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
        assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text()

    def test_commands_are_up_to_date(self, tmp_path: Path) -> None:
        written = tmp_path / "commands.md"
        words = ["fedgen.cli", "utils", "docs", "--name", "fedgen", "--title", "The commands", "--output", str(written)]
        subprocess.run([sys.executable, "-m", "typer", *words], capture_output=True, check=True, timeout=60)
        assert (ROOT / "docs" / "commands.md").read_text() == written.read_text(), "run `make docs`"

    def test_make_lists_its_targets(self) -> None:
        listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
        targets = re.findall(r"^make (\w+)", listed, re.MULTILINE)
        assert {"demo", "test", "check", "slow", "bench", "clean"} <= set(targets)
        phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert phony is not None
        assert phony[1].split() == targets

    def test_constraints_are_exact_and_name_no_place(self) -> None:
        lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
        pinned = {normal(line.split("==")[0]) for line in lines}
        declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
        wanted = declared["project"]["dependencies"] + declared["dependency-groups"]["dev"]
        assert {normal(re.split(r"[\[<>=]", name)[0]) for name in wanted} <= pinned


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_wheel_holds_what_the_project_holds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    configs = {
        f"fedgen/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "configs").rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert held == sources | configs
    assert any(name.startswith("fedgen/schemas/") for name in held)

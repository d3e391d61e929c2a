"""What all commands share: streams, exit codes, one-line errors, interrupts, outputs that cannot be written."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedgen.cli.commands import run
from fedgen.io import read

EXAMPLE = Path(__file__).parents[1] / "configs" / "debian_teams.csv.gz"
COMMANDS = ("fit", "sample", "sweep", "validate", "load", "reconstruct", "plot", "info", "convert", "measure")


def fedgen(*words: object, **options: object) -> "subprocess.CompletedProcess[str]":
    """Run the command line as a user does, away from any terminal."""
    command = [sys.executable, "-m", "fedgen.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)  # type: ignore[call-overload, no-any-return]


def is_one_error_line(text: str) -> bool:
    return text.startswith("fedgen: error: ") and text.count("\n") == 1 and text.endswith("\n")


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", [(), *((c,) for c in COMMANDS)])
def test_help_goes_to_stdout(command: tuple[str, ...], flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, flag]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(" ".join(["Usage: fedgen", *command]))
    assert not err


def test_help_lists_every_command_in_the_order_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    run(["--help"])
    listed = capsys.readouterr().out.split("Commands:\n")[1]
    assert [line.split()[0] for line in listed.splitlines()] == list(COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import fedgen

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"fedgen {fedgen.__version__}\n"


def test_without_a_command_the_help_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("Usage: fedgen")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["fut"], "Did you mean 'fit'?"),
        (["--nope"], "--nope"),
        (["fit"], "DATA"),
        (["fit", "a", "b"], "b"),
        (["sample", "--servers", "0"], "'--servers': '0' is not a whole number from 1 up; see fedgen sample --help"),
        (["sample", "--servers", "-5"], "'--servers': '-5' is not a whole number from 1 up;"),
        (["sample", "--users", "many"], "'--users': 'many' is not a whole number from 1 up;"),
        (["sample", "--rooms", "1.5"], "'--rooms': '1.5' is not a whole number from 1 up;"),
        (["sample", "--seed", "-1"], "'--seed': '-1' is not a whole number from 0 up;"),
        (["sample", "--jobs", "0"], "'--jobs': '0' is not a whole number from 1 up;"),
        (["sample", "--format", "xlsx"], "'--format': 'xlsx' is not one of 'parquet', 'csv',"),
        (["reconstruct", "--ensemble", "1"], "'--ensemble': '1' is not a whole number from 2 up;"),
        (["info", ""], "'X': '' names neither a file nor a folder;"),
        (["fit", "data", "--output="], "'--output': '' names neither a file nor a folder;"),
        (["validate", "generated"], "--against"),
        (["convert", "in"], "OUT"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    words: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert is_one_error_line(err)
    assert part in err
    assert err.endswith("--help\n")


def test_wrong_usage_as_a_process() -> None:
    done = fedgen("sample", "--servers", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert is_one_error_line(done.stderr)


@pytest.mark.parametrize("command", COMMANDS)
def test_usage_has_no_braces(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "-h"]) == 0
    usage = capsys.readouterr().out.splitlines()[0]
    assert not set("{}") & set(usage)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", b""),
        ("noise.bin", bytes(range(256)) * 9),
        ("broken.json", b'{"nodes": [{"kind": "Us'),
        ("other.json", b'{"a": 1}'),
        ("model.json", b'{"format": "fedgen-model", "version": 1}'),
        ("deep.json", b'{"nodes":' + b"[" * 200_000),
        ("deeper.json", b'{"a":' * 200_000),
        ("cut.csv.gz", EXAMPLE.read_bytes()[:5000]),
        ("columns.csv", b"user,room\n1,2\n"),
        ("twohomes.csv", b"user,server,room\n1,1,1\n1,2,2\n"),
    ],
)
def test_bad_input_is_one_line_that_names_it(
    name: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for words in (["info", path], ["fit", path, "-o", tmp_path / "m.json"], ["convert", path, tmp_path / "out.csv"]):
        assert run(list(map(str, words))) == 1
        out, err = capsys.readouterr()
        assert not out
        assert is_one_error_line(err)
        assert str(path) in err
        assert "fault of fedgen" not in err
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("words", [["info"], ["fit"], ["sample"], ["validate", "--against", str(EXAMPLE)]])
def test_missing_input_is_one_line(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "missing")
    assert run([words[0], missing, *words[1:], *(["-o", str(tmp_path / "o.json")] if words[0] == "fit" else [])]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert is_one_error_line(err)
    assert missing in err


def outputs(place: object) -> list[list[str]]:
    return [
        ["fit", str(EXAMPLE), "-o", str(place)],
        ["sample", "--format", "csv", "-o", str(place)],
        ["sample", "--format", "parquet", "-o", str(place)],
        ["validate", str(EXAMPLE), "--against", str(EXAMPLE), "-o", str(place)],
        ["convert", str(EXAMPLE), str(place)],
    ]


@pytest.mark.parametrize("words", outputs("PLACE"), ids=lambda words: " ".join(words[:3:2]))
class TestOutputThatCannotBeWritten:
    def refused(self, words: list[str], place: Path, capsys: pytest.CaptureFixture[str]) -> str:
        start = time.monotonic()
        assert run([str(place) if word == "PLACE" else word for word in words]) == 1
        assert time.monotonic() - start < 5
        out, err = capsys.readouterr()
        assert not out
        *remarks, last = err.splitlines(keepends=True)
        assert is_one_error_line(last)
        assert not any("error" in line for line in remarks)
        assert str(place) in last
        return last

    def test_what_exists_is_kept(self, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        place = tmp_path / "mine"
        place.write_text("precious")
        self.refused(words, place, capsys)
        assert place.read_text() == "precious"

    def test_a_folder_of_other_things_is_kept(
        self, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        place = tmp_path / "folder"
        place.mkdir()
        (place / "mine").write_text("precious")
        self.refused([*words, "--force"], place, capsys)
        assert (place / "mine").read_text() == "precious"

    def test_no_folder(self, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "does not exist" in self.refused(words, tmp_path / "nowhere" / "out", capsys)

    def test_a_file_for_a_folder(self, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "file").write_text("")
        self.refused(words, tmp_path / "file" / "out", capsys)

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
    def test_no_right_to_write(self, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        assert "no right" in self.refused(words, locked / "out", capsys)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_stdout_is_one_line() -> None:
    command = [sys.executable, "-m", "fedgen.cli", "info", str(EXAMPLE)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "fedgen: error: standard output cannot be written (No space left on device); send it elsewhere\n"
    )


@pytest.mark.parametrize("closed", ["1>&-", "1>&- 2>&-"])
@pytest.mark.parametrize(
    "words",
    [["info", str(EXAMPLE)], ["convert", str(EXAMPLE), "out"]],
    ids=lambda words: words[0],
)
def test_a_closed_stream_costs_nothing_but_the_talk(words: list[str], closed: str, tmp_path: Path) -> None:
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "fedgen.cli", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert not any(word in done.stdout + done.stderr for word in ("Traceback", "error", "Exception"))
    if "out" in words:
        assert read(tmp_path / "out").n_servers == 930


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_a_reader_that_leaves_is_no_error(flag: list[str]) -> None:
    command = [sys.executable, "-m", "fedgen.cli", "info", str(EXAMPLE), *flag]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_interrupt_is_one_line_and_leaves_nothing_finished(tmp_path: Path) -> None:
    place = tmp_path / "out"
    words = ["sample", "--users", "30000000", "-o", str(place), "-q"]
    with subprocess.Popen(
        [sys.executable, "-m", "fedgen.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        time.sleep(2.5)  # far into the run: such a federation takes minutes
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert err == "fedgen: error: interrupted; nothing was finished\n"
    assert not list(tmp_path.rglob("manifest.json"))


@pytest.mark.parametrize("module", ["typer", "msgspec", "numpy", "pyarrow.csv"])
def test_interrupt_while_starting_is_one_line(module: str) -> None:
    """The interrupt comes when the module is looked for, as if somebody had pressed Ctrl-C just then."""
    script = f"""
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["fedgen", "info", {str(EXAMPLE)!r}]
from fedgen.cli import main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "fedgen: error: interrupted; nothing was finished\n"


@pytest.mark.parametrize("words", [["info"], ["convert", "--json"], ["sample"], ["validate", "--json"], ["fit"]])
def test_interrupt_after_the_result_is_no_failure(words: list[str], tmp_path: Path) -> None:
    """The interrupt comes with each thing that is printed."""
    script = f"""
import os, signal, sys
write = sys.stdout.write

def interrupted(text):
    os.kill(os.getpid(), signal.SIGINT)
    return write(text)

sys.stdout.write = interrupted
sys.argv = {["fedgen", *words]!r} + sys.argv[1:]
from fedgen.cli import main
main()
"""
    rest = {
        "info": [EXAMPLE],
        "convert": [EXAMPLE, "out.csv"],
        "sample": ["--servers", "30", "-q"],
        "validate": ["tiny.csv", "--against", "tiny.csv", "-o", "scorecard.json"],
        "fit": ["tiny.csv"],
    }[words[0]]
    (tmp_path / "tiny.csv").write_text(TINY)
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, rest)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    made = {"convert": "out.csv", "validate": "scorecard.json", "fit": "model.json"}.get(words[0], "tiny.csv")
    assert (tmp_path / made).exists()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    for words, environment in ((["--debug", "info"], {}), (["info"], {"FEDGEN_DEBUG": "1"})):
        done = fedgen(*words, missing, env=os.environ | environment)
        assert done.returncode == 1
        assert "Traceback" in done.stderr
    assert "Traceback" not in fedgen("info", missing, env=os.environ | {"FEDGEN_DEBUG": "0"}).stderr


def test_results_alone_are_on_stdout(tmp_path: Path) -> None:
    model = tmp_path / "model.json"
    done = fedgen("fit", EXAMPLE, "-o", model, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["output"] == str(model)
    done = fedgen("sample", "--json", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "fedgen: model: model.json of this folder\n"
    place = json.loads(done.stdout)["output"]
    assert (tmp_path / place / "manifest.json").is_file()
    assert fedgen("sample", "--json", "-q", "--force", cwd=tmp_path).stderr == ""


def test_quiet_silences_remarks_but_no_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = tmp_path / "odd.csv"
    odd.write_text("user,server,room,colour\n1,1,1,red\n2,1,1,blue\n")
    assert run(["info", str(odd)]) == 0
    loud = capsys.readouterr()
    assert "colour" in loud.err
    assert run(["info", str(odd), "-q"]) == 0
    assert capsys.readouterr() == (loud.out, "")


def on_terminal(stream: str, *words: object, **variables: str) -> str:
    """What a process shows on a terminal that its ``stream`` is."""
    import pty

    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLORTERM")}
    controller, terminal = pty.openpty()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | {stream: terminal}
    with subprocess.Popen(
        [sys.executable, *map(str, words)], env=environment | {"TERM": "xterm-256color"} | variables, **streams
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while chunk := os.read(controller, 65536):
                shown += chunk
        except OSError:  # how Linux says that the other end has gone
            pass
    os.close(controller)
    assert process.returncode == 0
    return shown.decode()


TINY = "user,server,room\n" + "".join(
    f"{user},{user % 3},{room}\n" for user in range(9) for room in range(user % 2 + 1)
)
COLOURS = [f"\x1b[{code}m" for code in range(31, 38)]


def test_tables_on_a_terminal_honour_no_color(tmp_path: Path) -> None:
    path = tmp_path / "tiny.csv"
    path.write_text(TINY)
    words = ("-m", "fedgen.cli", "validate", path, "--against", path)
    shown, plain = (on_terminal("stdout", *words, COLUMNS="200", **more) for more in ({}, {"NO_COLOR": "1"}))
    assert "A1" in shown
    assert "A1" in plain
    assert "\x1b[" in shown
    assert not any(colour in plain for colour in COLOURS)
    narrow = on_terminal("stdout", *words, COLUMNS="40")
    assert "  D1h  share of all tx that the hub sends  " in narrow  # whole, whatever the terminal makes of it


WORK = """
import time
from fedgen.cli import terminal
terminal.PATIENCE = {patience}
with terminal.progress({quiet}) as report:
    for done in range(12):
        report("counting", done, 12)
        time.sleep(0.05)
"""


@pytest.mark.parametrize(("patience", "quiet", "seen"), [(0.1, False, True), (60, False, False), (0.1, True, False)])
def test_progress_shows_on_a_terminal_once_it_takes_long(patience: float, quiet: bool, seen: bool) -> None:
    shown = on_terminal("stderr", "-c", WORK.format(patience=patience, quiet=quiet))
    assert ("counting" in shown) is seen
    assert ("/s" in shown) is seen
    if not seen:
        assert not shown


def test_progress_is_silent_without_a_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(patience=0.1, quiet=False)], capture_output=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == (b"", b"")


@pytest.mark.parametrize("name", ["out", "out.csv", "out.json.gz"])
def test_no_room_on_the_disk_is_one_line(name: str, tmp_path: Path) -> None:
    import resource

    def tight() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = fedgen("convert", EXAMPLE, tmp_path / name, preexec_fn=tight)
    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_error_line(done.stderr)
    assert name in done.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert not any(entry.is_file() for entry in tmp_path.iterdir())


def test_memory_that_runs_out_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("gen.parts.draw_district", exhausted)
    assert run(["sample", "-q", "-o", str(tmp_path / "out")]) == 1
    out, err = capsys.readouterr()
    assert not out
    assert is_one_error_line(err)
    assert "memory" in err


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds address space")
def test_no_room_in_memory_is_one_line(tmp_path: Path) -> None:
    import resource

    def tight() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))

    done = fedgen("sample", "--users", "20000000000000", "-q", "-o", tmp_path / "out", preexec_fn=tight)
    assert (done.returncode, done.stdout) == (2, "")
    assert is_one_error_line(done.stderr)
    assert "memory" in done.stderr
    assert not (tmp_path / "out").exists()

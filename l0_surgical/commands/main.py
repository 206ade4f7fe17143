"""The command `l0-surgical`: parses, calls, prints. Progress and logs go to stderr, results to stdout (one
JSON object with --json).

Exit codes: 0 done, 1 failed, 2 bad input (one line that says what is wrong and how to mend it), 130
interrupted after saving.
"""

import argparse
import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from l0_surgical import __version__
from l0_surgical.commands.streams import Aside, Output, OutputError, prepare_streams
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.plugins import named_modules
from l0_surgical.system.stopping import Stop

TRAINING = ("training side", "train", ("torch", "tyro", "rich", "gymnasium", "pybullet"))
ROBOT = ("robot side", "dds", ("tyro", "rich", "yaml"))
DEMO = ("training and the robot side", "train,dds", (*TRAINING[2], "pandas", "cyclonedds", "mcap", "yaml"))
REPORT = ("report", "report", ("tyro", "rich", "matplotlib", "pandas", "jinja2"))
SUITE = ("training side and the report", "train,sweep", (*TRAINING[2], "matplotlib", "pandas", "jinja2"))
SIMULATION = ("simulated arm", "train,dds", ("tyro", "rich", "pybullet"))
CORE = ("package", "dds", ())

# what it needs (its name, pip's extra, the packages), what it does; `simulate-arm` is the module
# `simulate_arm` beside this one
COMMANDS: dict[str, tuple[tuple[str, str, tuple[str, ...]], str]] = {
    "train": (TRAINING, "train a grid of policies: regularizers x coefficients x seeds"),
    "evaluate": (TRAINING, "success and return of a policy over unseen episodes"),
    "compress": (TRAINING, "fold to low rank, remove dead units, pack, with evidence"),
    "inspect": (CORE, "what is in a policy file"),
    "suite": (SUITE, "the paper's suites, classic and surgical, on local processes or a Ray cluster"),
    "report": (REPORT, "tables, figures and one page from results folders, beside the paper's numbers"),
    "demo": (DEMO, "train, compress, evaluate, control a simulated arm and draw, in minutes"),
    "export": (ROBOT, "a policy as ONNX or as C99 without dependencies"),
    "benchmark": (ROBOT, "time and memory of one policy in every engine"),
    "control": (ROBOT, "drive an arm to goals in real time"),
    "simulate-arm": (SIMULATION, "a dVRK arm, simulated, with all its topics"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. A signal interrupts it unless the command itself listens."""
    arguments = [_with_home(argument) for argument in (sys.argv[1:] if argv is None else argv)]
    prepare_streams()
    stop = Stop()
    try:
        with stop.on_signals(), stop.raising():
            return _run(arguments)
    except L0SurgicalError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130


def _run(arguments: list[str]) -> int:
    if arguments in (["--version"], ["-V"]):
        Output().write(f"l0-surgical {__version__}\n")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        Output().write(_usage())
        return 0 if arguments else 2
    command, *rest = arguments
    return _run_command(command, rest)


def _run_command(command: str, arguments: list[str]) -> int:
    if command not in COMMANDS:
        raise BadInputError(f"unknown command {command!r}; choose one of {', '.join(COMMANDS)}")
    (side, extra, packages), _ = COMMANDS[command]
    missing = [name for name in packages if not _is_installed(name)]
    if missing:
        raise BadInputError(
            f"{command} needs {', '.join(missing)}; install the {side}: pip install '.[{extra}]' in a clone"
        )
    arguments = _with_imports(arguments)
    output = io.StringIO()
    try:
        with contextlib.redirect_stderr(output):
            call = _parse(command, arguments)
    except SystemExit as stop:
        if not stop.code:
            Output().write("")  # hands on the help
            return 0
        raise BadInputError(_one_line(output.getvalue())) from None
    except OSError as error:  # of more help than fits into its buffer
        raise OutputError(error) from error
    return call() or 0


def _with_imports(arguments: list[str]) -> list[str]:
    """Imports the modules that `--import MODULE` and the environment name; returns the other arguments."""
    names, rest = [], []
    remaining = iter(arguments)
    for argument in remaining:
        flag, equals, value = argument.partition("=")
        if flag != "--import":
            rest.append(argument)
            continue
        value = value if equals else next(remaining, "")
        if not value or value.startswith("-"):
            raise BadInputError(
                "--import names no module; pass one that registers algorithms, sparsifiers or tasks"
            )
        names.append(value)
    if names or named_modules():
        from l0_surgical.settings.plugins import import_modules

        import_modules(names)
    return rest


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ImportError:
        return False


def _parse(command: str, arguments: list[str]) -> Callable[[], int | None]:
    """The call that a command line asks for; raises SystemExit where it asks for none."""
    function = _function(command, arguments)
    try:
        import tyro
    except ImportError:
        # only `inspect` comes here: a robot's computer may have the core install alone
        parser = argparse.ArgumentParser(
            f"l0-surgical {command}", usage=f"l0-surgical {command} POLICY [--json]"
        )
        parser.description = function.__doc__.partition("\n")[0]
        parser.add_argument("policy", metavar="POLICY", help="a policy file, or the name of a shipped policy")
        parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
        values = parser.parse_args(arguments)
        return function(values.policy, json=values.json)
    return tyro.cli(function, prog=f"l0-surgical {command}", args=arguments)


def _function(command: str, arguments: list[str]) -> Callable[..., Any]:
    """The function whose signature is the command line of `command` and whose docstring is the help.

    It returns the call that does the work. A command whose defaults hang on its arguments makes its function
    by `command_for`.
    """
    module = import_module(f"l0_surgical.commands.{command.replace('-', '_')}")
    return module.command_for(arguments) if hasattr(module, "command_for") else module.command


def _with_home(argument: str) -> str:
    """`~` as a shell expands it, which leaves it as it is in --out=~/run."""
    flag, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return f"{flag}{equals}{os.path.expanduser(value)}"  # noqa: PTH111 (it need not be a path)


def _one_line(box: str) -> str:
    """The words of a boxed usage error."""
    words = re.sub("[\u2500-\u257f]", " ", box).split()
    return " ".join(words).removeprefix("Parsing error ").removeprefix("Required options ")


def _usage() -> str:
    lines = [f"  {name:14}{text}" for name, (_, text) in COMMANDS.items()]
    lines += [
        "",
        "Every command takes --import MODULE, which registers algorithms, sparsifiers and tasks of yours.",
    ]
    return "\n".join(
        ["usage: l0-surgical COMMAND [options]     (l0-surgical COMMAND --help)", "", *lines, ""]
    )


def _complain(text: str) -> None:
    Aside().write(f"l0-surgical: {' '.join(text.split())}\n")

"""Evaluation processes: what they know, how they fail, and that they end with the process that started
them."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium
import misbehaving
import numpy as np
import pytest
from misbehaving import LINE, Line

from l0_surgical.evaluation import Evaluator, episode_seeds, evaluate
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.stopping import Stopped

OWN = """
import gymnasium, numpy as np, sys
from gymnasium import spaces

STEP = 0.25

class Own(gymnasium.Env):
    def __init__(self, offset):
        self.observation_space, self.action_space, self.offset = spaces.Box(-1, 1, (4,), np.float64), spaces.Discrete(2), offset
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.uniform(-1, 1, 4), {}
    def step(self, action):
        return self.np_random.uniform(-1, 1, 4), self.offset + STEP * action, False, False, {}

def main():
    from l0_surgical.evaluation import evaluate
    from l0_surgical.policy import Dense, Field, Layer, Normalizer, Policy
    gymnasium.register("Own-v0", entry_point=Own, max_episode_steps=10, kwargs={"offset": 1.0})
    layer = Layer(Dense(np.eye(2, 4)), np.zeros(2), "linear")
    policy = Policy("Own-v0", (Field("x", 4, "1"),), (Field("value", 2, "1"),), Normalizer.identity(4), (layer,), trained_parameters=10)
    for jobs in map(int, sys.argv[1:]):
        print(*evaluate(policy, episodes=6, jobs=jobs).returns)

"""


def start(folder: Path, source: str, *arguments: str) -> subprocess.Popen:
    # a shell's background jobs inherit that Ctrl-C is ignored
    heard = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    (folder / "script.py").write_text(heard + source)
    command = [sys.executable, str(folder / "script.py"), *arguments]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parents[1])])
    }
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def test_a_task_that_a_script_registers_is_known_to_its_processes(tmp_path: Path) -> None:
    output, errors = start(tmp_path, OWN + "if __name__ == '__main__':\n    main()\n", "1", "2").communicate(
        timeout=120
    )
    alone, spread = output.splitlines()
    assert alone == spread, errors
    assert len(set(alone.split())) > 1


def test_a_script_that_is_not_guarded_is_told_what_to_do(tmp_path: Path) -> None:
    _, errors = start(tmp_path, OWN + "main()\n", "2").communicate(timeout=120)
    assert "L0SurgicalError: an evaluation process ended with exit code 1" in errors
    assert "under `if __name__ == '__main__':`" in errors
    assert "memory" not in errors


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("kills", r"was ended by SIGKILL \(out of memory\? run again with fewer jobs\)"),
        ("exits", "ended with exit code 7; what it said stands above"),
        (
            "signals",
            r"was ended by SIGTERM \(the environment's native code is at fault, or someone ended it\)",
        ),
    ],
)
def test_how_a_process_ended_is_told(fault: str, said: str) -> None:
    bad = episode_seeds("test", 0, 6)[4]
    policy = misbehaving.line_policy(misbehaving.register(LINE, "Fatal", fault=fault, seed=bad))
    with Evaluator(policy.task, jobs=2) as evaluator:
        with pytest.raises(L0SurgicalError, match=f"an evaluation process {said}"):
            evaluator.run(policy, episode_seeds("test", 0, 6))
        # other processes play what follows
        assert [e.steps for e in evaluator.run(policy, episode_seeds("test", 0, 4))] == [20] * 4


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_names_the_episode_whoever_played_it(jobs: int) -> None:
    seeds = episode_seeds("test", 0, 8)
    policy = misbehaving.line_policy(misbehaving.register(LINE, "Failing", fault="raises", seed=seeds[6]))
    with Evaluator(policy.task, jobs=jobs) as evaluator:
        said = (
            rf"misbehaving/Failing-v0 failed at step 3, episode 6 \(seed {seeds[6]}\): RuntimeError: "
            r"lost the physics server"
        )
        with pytest.raises(L0SurgicalError, match=said):
            evaluator.run(policy, seeds)
        healthy = evaluator.run(policy, seeds[:6])
    assert [e.total_reward for e in healthy] == list(evaluate(misbehaving.line_policy(), episodes=6).returns)


def test_an_environment_that_failed_is_opened_anew() -> None:
    seeds = episode_seeds("test", 0, 2)
    policy = misbehaving.line_policy(misbehaving.register(LINE, "Anew", fault="nan", seed=seeds[1]))
    with Evaluator(policy.task) as evaluator:
        opened, closed = Line.opened, Line.closed
        evaluator.run(policy, seeds[:1])
        evaluator.run(policy, seeds[:1])
        assert (Line.opened, Line.closed) == (opened + 1, closed)
        with pytest.raises(L0SurgicalError, match=rf"episode 1 \(seed {seeds[1]}\) is NaN"):
            evaluator.run(policy, seeds)
        assert (Line.opened, Line.closed) == (opened + 1, closed + 1)
        evaluator.run(policy, seeds[:1])
    assert (Line.opened, Line.closed) == (opened + 2, closed + 2)


def test_what_cannot_be_made_in_a_process_is_bad_input(tmp_path: Path) -> None:
    policy = misbehaving.line_policy(
        misbehaving.register(LINE, "Gone", fault="making", while_there=tmp_path / "gone")
    )
    with Evaluator(policy.task, jobs=2) as evaluator:
        (tmp_path / "gone").touch()
        with pytest.raises(
            BadInputError, match=r"'misbehaving/Gone-v0' cannot be made: ModuleNotFoundError: .*simulator"
        ):
            evaluator.run(policy, [1, 2])


def test_a_task_that_cannot_be_sent_is_refused() -> None:
    lock = threading.Lock()
    gymnasium.registry.pop("misbehaving/Locked-v0", None)
    gymnasium.register("misbehaving/Locked-v0", lambda: (lock, Line())[1], max_episode_steps=20)
    policy = misbehaving.line_policy("misbehaving/Locked-v0")
    with (
        Evaluator(policy.task, jobs=2) as evaluator,
        pytest.raises(BadInputError, match=r"cannot be sent to .*lock.*with 1 job"),
    ):
        evaluator.run(policy, [1, 2])
    with Evaluator(policy.task) as evaluator:
        assert len(evaluator.run(policy, [1, 2])) == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_stop_is_heard_in_the_middle_of_an_episode(jobs: int) -> None:
    policy = misbehaving.line_policy(misbehaving.register(LINE, "Slow", fault="sleeps"))
    began = time.monotonic()
    with (
        Evaluator(policy.task, jobs=jobs, stop=lambda: time.monotonic() > began + 1) as evaluator,
        pytest.raises(Stopped),
    ):
        evaluator.run(policy, range(100))
    assert time.monotonic() - began < 20  # the episodes take 100 s or more


SLOW = """
import misbehaving
from l0_surgical.evaluation import evaluate
if __name__ == "__main__":
    policy = misbehaving.line_policy(misbehaving.register(misbehaving.LINE, "Slow", fault="sleeps"))
    print("started", flush=True)
    evaluate(policy, episodes=16, jobs=2, progress=lambda done: print("playing", flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_processes_end_with_the_one_that_started_them(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, SLOW)
    assert process.stdout.readline() == "started\n"
    # by then at least two processes play
    deadline = time.monotonic() + 60
    while len(children := children_of(process.pid)) < 3:  # with the tracker of shared resources
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    assert process.stdout.readline() == "playing\n"
    process.send_signal(number)
    process.wait(60)
    assert process.returncode != 0
    deadline = time.monotonic() + 2
    while alive := [child for child in children if is_alive(child)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)
    assert "Process Spawn" not in process.stderr.read()  # the children say nothing of their own


def children_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_episodes_come_in_the_order_of_their_seeds() -> None:
    policy, seeds = misbehaving.line_policy(), episode_seeds("train", 0, 23)
    with Evaluator(LINE) as one, Evaluator(LINE, jobs=3) as three:
        alone, spread = (
            evaluator.run(policy, seeds, keep_observations=True, random_share=0.4)
            for evaluator in (one, three)
        )
    for mine, theirs in zip(alone, spread, strict=True):
        assert mine.total_reward == theirs.total_reward
        np.testing.assert_array_equal(mine.observations, theirs.observations)

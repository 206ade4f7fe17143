"""Who plays an `Evaluator`'s episodes: one environment in this process, or several processes with one
each."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import cloudpickle
import gymnasium

from l0_surgical.evaluation.episodes import Act, Episode, policy_act, rollouts, with_random_actions
from l0_surgical.policy import Policy, policy_bytes, policy_from_bytes
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.plugins import import_named_modules
from l0_surgical.system.process import THREADS
from l0_surgical.system.stopping import Stopped
from l0_surgical.tasks.boundary import Stop, close_environment, in_words, never, open_environment

_POLL_S = 0.2  # between two questions whether to stop
_GRACE_S = 1.0  # for a process to end by itself, and again after SIGTERM


@dataclass(frozen=True)
class Request:
    """Episodes to play: their seeds, the number of the first, whether to keep observations, and the share of
    random actions."""

    seeds: Sequence[int]
    first: int = 0
    keep_observations: bool = False
    random_share: float = 0.0


class Player:
    """One environment of a task, opened when it is first needed and anew after it has failed."""

    def __init__(self, task: str, make: Callable[[], gymnasium.Env]) -> None:
        self._task, self._make = task, make
        self._environment: gymnasium.Env | None = None

    def play(
        self, policy: Policy, request: Request, progress: Callable[[int], None], stop: Stop = never
    ) -> list[Episode]:
        """One episode for each seed, in order; `progress` is told the number of episodes done.

        Raises:
            BadInputError: the policy does not fit the task, or the environment cannot be made.
            L0SurgicalError: the environment failed.
            Stopped: `stop` said so.
        """
        if self._environment is None:
            self._environment = open_environment(self._task, self._make)
        act, episodes = policy_act(policy, self._environment, self._task), []
        try:
            for number, seed in enumerate(request.seeds, start=request.first):
                played = self._act(act, request.random_share, seed)
                episodes += rollouts(
                    played,
                    self._environment,
                    [seed],
                    None,
                    request.keep_observations,
                    first=number,
                    stop=stop,
                )
                progress(len(episodes))
        except L0SurgicalError:
            self.close()
            raise
        return episodes

    def close(self) -> None:
        """Closes the environment."""
        if self._environment is not None:
            close_environment(self._environment)
            self._environment = None

    def _act(self, act: Act, random_share: float, seed: int) -> Act:
        return act if random_share == 0 else with_random_actions(act, self._environment, random_share, seed)


class Processes:
    """Processes that play the same episodes as a `Player`, side by side.

    They end with this process, however it ends. What is sent to them is the task's `make` itself, so they
    need not know how a script has registered its environment.
    """

    def __init__(self, task: str, make: Callable[[], gymnasium.Env], jobs: int) -> None:
        """Starts them.

        Raises:
            BadInputError: the task cannot be sent, or there are too many jobs for this machine.
        """
        self._jobs, self._workers = jobs, {}
        self._ready: list[Connection] = []
        try:
            player = cloudpickle.dumps(Player(task, make))
        except Exception as error:
            raise BadInputError(
                f"the task {task!r} cannot be sent to evaluation processes: {in_words(error)}; evaluate "
                "with 1 job, or register it in a module and name it module:id"
            ) from error
        try:
            with _as_children():
                for _ in range(jobs):
                    self._start(player)
        except BaseException:
            self.close()
            raise

    def play(
        self, policy: Policy, request: Request, progress: Callable[[int], None], stop: Stop = never
    ) -> list[Episode]:
        """See `Player.play`; after anything is raised, `close` is all that may follow.

        Raises:
            L0SurgicalError: a process died, too.
        """
        data, parts, played = policy_bytes(policy), self._parts(request), {}
        waiting = deque(enumerate(parts))
        # the number of the part that a process plays, None while it is still being started
        busy: dict[Connection, int | None] = dict.fromkeys(
            connection for connection in self._workers if connection not in self._ready
        )
        for connection in self._ready:
            self._give(connection, data, waiting, busy)
        while len(played) < len(parts):
            for connection in wait(list(busy), _POLL_S):
                number, episodes = busy.pop(connection), self._answer(connection, stop)
                if number is None:
                    self._ready.append(connection)
                else:
                    played[number] = episodes
                    progress(sum(map(len, played.values())))
                self._give(connection, data, waiting, busy)
            if stop():
                raise Stopped
        return [episode for number in range(len(parts)) for episode in played[number]]

    def close(self) -> None:
        """Ends them: those that wait close their environments, those that still play are ended after a
        second."""
        for connection in self._workers:
            connection.close()
        for end in (lambda process: None, BaseProcess.terminate, BaseProcess.kill):
            deadline = time.monotonic() + _GRACE_S
            for process in self._workers.values():
                end(process)
            for process in self._workers.values():
                process.join(max(0.0, deadline - time.monotonic()))
        self._workers = {}

    def _start(self, player: bytes) -> None:
        # spawn: a forked child would share the physics client and the thread pools of this process
        context = multiprocessing.get_context("spawn")
        try:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, player))
            process.start()
        except OSError as error:
            raise BadInputError(
                f"cannot start {self._jobs} evaluation processes ({error.strerror}); give fewer jobs"
            ) from error
        theirs.close()
        self._workers[ours] = process

    def _parts(self, request: Request) -> list[Request]:
        """Several for each process, so that none waits long for the last."""
        size = -(-len(request.seeds) // (4 * self._jobs))
        return [
            replace(request, seeds=request.seeds[start : start + size], first=request.first + start)
            for start in range(0, len(request.seeds), size)
        ]

    def _give(
        self,
        connection: Connection,
        data: bytes,
        waiting: deque[tuple[int, Request]],
        busy: dict[Connection, int | None],
    ) -> None:
        if waiting:
            busy[connection], part = waiting.popleft()
            with contextlib.suppress(OSError):  # it is dead, which `_answer` finds
                connection.send((data, part))

    def _answer(self, connection: Connection, stop: Stop) -> list[Episode]:
        try:
            episodes, error = connection.recv()
        except (EOFError, OSError):
            cause = _death(self._workers[connection])
            if stop():  # the same signal ended it
                raise Stopped from None
            raise L0SurgicalError(cause) from None
        if error is not None:
            raise error
        return episodes


def _serve(connection: Connection, player_bytes: bytes) -> None:
    """Says that it is there, and plays what is asked for until the other end is closed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.stdout = sys.stderr  # what environments print; stdout is for the command's result
    player: Player | None = None
    with contextlib.suppress(EOFError, OSError):
        connection.send(([], None))
        while True:
            data, request = connection.recv()
            try:
                player = player or _loaded(player_bytes)
                answer = player.play(policy_from_bytes(data), request, lambda done: None), None
            except L0SurgicalError as error:
                answer = None, error
            connection.send(answer)
    if player is not None:
        player.close()


def _loaded(player_bytes: bytes) -> Player:
    try:
        import_named_modules()
        return pickle.loads(player_bytes)
    except Exception as error:
        raise BadInputError(
            f"an evaluation process cannot load the task: {in_words(error)}; evaluate with 1 job, or "
            "register it in a module and name it module:id"
        ) from error


def _end_with_parent() -> None:
    """In the middle of an episode, too: no one is left to tell, and nothing is lost."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _death(process: BaseProcess) -> str:
    process.join(_GRACE_S)
    code = process.exitcode
    if code is not None and code < 0:
        memory = code == -signal.SIGKILL
        why = (
            "out of memory? run again with fewer jobs"
            if memory
            else "the environment's native code is at fault, or someone ended it"
        )
        return f"an evaluation process was ended by {signal.Signals(-code).name} ({why})"
    return (
        f"an evaluation process ended with exit code {code}; what it said stands above. A script that "
        "evaluates with several jobs does so under `if __name__ == '__main__':`"
    )


@contextlib.contextmanager
def _as_children() -> Iterator[None]:
    """Processes started inside have one thread each and leave Ctrl-C, which reaches the whole group, to this
    one.

    They inherit both, for they could not set it in time: the variables are read when NumPy is loaded.
    """
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

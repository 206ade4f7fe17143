"""What environments return and raise, checked where they are stepped: one line each, and what is right passes
unchanged."""

import gymnasium
import misbehaving
import numpy as np
import pytest
from gymnasium import spaces
from misbehaving import GOAL, LINE, Goal, Line

from l0_surgical.algorithms.goal_problem import collect_demonstrations
from l0_surgical.algorithms.replay import GoalRules, Recorder
from l0_surgical.evaluation import rollouts
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.stopping import Stopped
from l0_surgical.tasks import Task, get_task
from l0_surgical.tasks.boundary import CheckedEnvironment, expert_action, open_environment

# what each fault is told as; FAULT stands at the step, or at the reset, of the episode
SAID = {
    "raises": "misbehaving/.* failed at step 3, the first: RuntimeError: lost the physics server",
    "panics": "failed at step 3, the first: BaseException: a foreign library's own",
    "nan": r"the observation of the first is NaN or infinite at step 3 in entries \[1\]; misbehaving/.* is "
    r"at fault",
    "huge": r"the observation of the first is too large for single precision at step 3 in entries \[1\]",
    "longer": r"the observation is .* at step 3 of the first; misbehaving/.* is at fault: its space says "
    r"\([23],\)",
    "shorter": r"the observation is .* at step 3 of the first.*its space says \([23],\)",
    "text": "the observation is 'nothing to see' at step 3 of the first",
    "ragged": r"the observation is \[\[1.0\], \[2.0, 3.0\], 4.0\] at step 3",
    "none": r"at step 3",
    "four values": r"failed at step 3, the first: ValueError: not enough values to unpack",
    "reward nan": "the reward is nan at step 3 of the first; misbehaving/.* is at fault: return one finite "
    "number",
    "reward huge": r"the reward is 1e\+39 at step 3",
    "reward array": r"the reward is array\(\[1.\]\) at step 3",
    "reward none": "the reward is None at step 3",
    "terminated number": "terminated is 0.5 at step 3 of the first; .* return True or False",
    "truncated none": "truncated is None at step 3",
    "info list": r"info is \['fine'\] at step 3 of the first; .* return a dictionary",
    "success text": r"info\['is_success'\] is 'yes' at step 3",
    "success list": r"info\['is_success'\] is \[True, False\] at step 3",
}
SAID_OF_RESET = {
    "reset raises": "failed in reset, the first: OSError: no such device",
    "reset nan": "the observation of the first is NaN or infinite at step 0 in entries",
    "reset alone": "the first",
    "reset list": "the first",
}


def play(environment: gymnasium.Env) -> None:
    checked = CheckedEnvironment(environment)
    checked.reset(0, "the first")
    action = np.zeros(2, np.float32) if isinstance(checked.action_space, spaces.Box) else 0
    for _ in range(5):
        checked.step(action)


@pytest.mark.parametrize("base", [LINE, GOAL])
@pytest.mark.parametrize("fault", [*SAID, *SAID_OF_RESET])
def test_every_fault_is_one_line_with_the_task_and_the_step(fault: str, base: str) -> None:
    environment = gymnasium.make(misbehaving.register(base, "Faulty", fault=fault), disable_env_checker=True)
    with pytest.raises(L0SurgicalError, match={**SAID, **SAID_OF_RESET}[fault]) as caught:
        play(environment)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("fault", ["nan", "raises", "reward nan"])
def test_without_a_fault_the_same_episode_passes(fault: str) -> None:
    play(
        gymnasium.make(misbehaving.register(LINE, "Elsewhere", fault=fault, seed=1), disable_env_checker=True)
    )
    assert set(SAID) | {"interrupts", "sleeps", "signals", "kills", "exits"} == set(misbehaving.STEP_FAULTS)
    assert set(SAID_OF_RESET) == set(misbehaving.RESET_FAULTS)


def test_the_bare_returns_without_wrappers_are_told_too() -> None:
    for fault, said in [
        ("four values", "step returned 4 values"),
        ("none", "step returned None"),
        ("reset alone", "reset returned"),
    ]:
        with pytest.raises(
            L0SurgicalError, match=f"{said}.* of the first; Line is at fault: return .observation"
        ):
            play(Line(fault=fault))


def test_a_goal_environment_needs_its_keys() -> None:
    class Forgetful(Goal):
        def _observe(self) -> dict:
            observed = super()._observe()
            return (
                observed
                if self._steps < 2
                else {key: observed[key] for key in ("observation", "desired_goal")}
            )

    with pytest.raises(
        L0SurgicalError,
        match=r"has no 'achieved_goal' at step 2 .* return a dictionary of observation, achieved_goal",
    ):
        play(Forgetful())


def test_interrupts_pass_as_they_are() -> None:
    with pytest.raises(KeyboardInterrupt):
        play(Line(fault="interrupts"))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float64, np.bool_])
def test_numbers_of_any_kind_are_observations(dtype: type) -> None:
    class Plain(Line):
        def _observe(self) -> np.ndarray:
            return np.array([0, 1, 1], dtype)

        def _move(self, action: int) -> tuple:
            return (
                self._observe(),
                np.float32(0.5),
                np.bool_(self._steps == 4),
                np.bool_(False),
                {"is_success": np.float32(1)},
            )

    environment = Plain()
    environment.observation_space = spaces.Box(0, 1, (3,), np.uint8)
    (episode,) = rollouts(lambda observation: int(observation[1]), environment, [0], keep_observations=True)
    assert (episode.total_reward, episode.success, episode.steps) == (2.0, True, 4)
    np.testing.assert_array_equal(episode.observations, [[0.0, 1.0, 1.0]] * 4)


def test_success_may_be_unknown() -> None:
    class Unsure(Line):
        def _move(self, action: int) -> tuple:
            known = {2: True, 3: np.nan, 4: None}.get(self._steps, False)
            return (*super()._move(action)[:2], False, self._steps == 4, {"is_success": known})

    (episode,) = rollouts(lambda _: 0, Unsure(), [0])
    assert (episode.success, episode.steps_to_success) == (True, 2.0)


class Reusing(Goal):
    """Writes every observation into the same arrays."""

    def _observe(self) -> dict[str, np.ndarray]:
        if not hasattr(self, "_arrays"):
            self._arrays = {key: np.zeros(2) for key in ("observation", "achieved_goal", "desired_goal")}
        for key, value in super()._observe().items():
            self._arrays[key][:] = value
        return self._arrays


def test_an_environment_may_write_its_observations_over_each_other() -> None:
    kept = []
    for environment in (Goal(), Reusing()):
        recorder = Recorder(gymnasium.wrappers.TimeLimit(environment, 10))
        (episode,) = rollouts(
            lambda observation: 4 * (observation[2:] - observation[:2]), recorder, [5], keep_observations=True
        )
        kept.append(
            [episode.observations, recorder.episode().observations, recorder.episode().achieved_goals]
        )
    assert np.ptp(kept[0][1], axis=0).min() > 0
    for expected, found in zip(*kept, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_what_cannot_be_made_is_bad_input_in_its_own_words() -> None:
    with pytest.raises(
        BadInputError,
        match=r"'misbehaving/Absent-v0' cannot be made: ModuleNotFoundError: .*`pip install simulator`",
    ) as caught:
        get_task(misbehaving.register(LINE, "Absent", fault="making"))
    assert caught.value.exit_code == 2
    with pytest.raises(
        BadInputError, match=r"'Humanoid-v3' cannot be made: (ImportError|DependencyNotInstalled): .*"
    ):
        get_task("Humanoid-v3")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (gymnasium.Env, "AttributeError: .*observation_space"),
        (
            lambda: Odd((3,)),
            r"TypeError: its observation_space is 1 values \(int\), which is no space of Gymnasium's",
        ),
        (lambda: object(), "TypeError: The environment must inherit from the gymnasium.Env class"),
    ],
)
def test_what_is_no_environment_is_refused(made: object, said: str) -> None:
    gymnasium.registry.pop("misbehaving/Odd-v0", None)
    gymnasium.register("misbehaving/Odd-v0", made, max_episode_steps=5)
    with pytest.raises(BadInputError, match=f"the task 'misbehaving/Odd-v0' cannot be made: {said}"):
        get_task("misbehaving/Odd-v0")


class Odd(gymnasium.Env):
    def __init__(self, observation_space: object) -> None:
        self.observation_space, self.action_space = observation_space, spaces.Discrete(2)


def test_a_task_without_a_time_limit_is_refused() -> None:
    misbehaving.register(LINE, "Endless", steps=None)
    with pytest.raises(
        BadInputError,
        match=r"'misbehaving/Endless-v0' has no time limit.* register it with max_episode_steps",
    ):
        get_task("misbehaving/Endless-v0")
    closed = Line.closed
    with pytest.raises(BadInputError, match="has no time limit"):
        open_environment("by hand", Line)
    assert Line.closed == closed + 1
    # a limit of the constructor's own counts, if it is Gymnasium's
    gymnasium.register("misbehaving/Limited-v0", lambda: gymnasium.wrappers.TimeLimit(Line(), 7))
    (episode,) = rollouts(lambda _: 0, get_task("misbehaving/Limited-v0").open(), [0])
    assert episode.steps == 7


def test_the_last_observation_is_checked_as_well() -> None:
    environment = gymnasium.make(
        misbehaving.register(GOAL, "Last", fault="nan", step=10), disable_env_checker=True
    )
    with pytest.raises(L0SurgicalError, match=r"episode 4 \(seed 9\) is NaN or infinite at step 10"):
        rollouts(lambda _: np.zeros(2), environment, [9], first=4)


def test_a_stop_is_heard_before_the_next_step() -> None:
    before, answers = Line.stepped, iter([False, False, True])
    with pytest.raises(Stopped):
        rollouts(lambda _: 0, gymnasium.make(LINE), [0], stop=lambda: next(answers))
    assert Line.stepped == before + 2


@pytest.mark.parametrize(
    ("expert", "said"),
    [
        (lambda environment, observation: 1 / 0, "failed: ZeroDivisionError"),
        (
            lambda environment, observation: np.array([0.1, np.nan]),
            r"gave array\(\[0.1, nan\]\); it must give finite numbers, shape \(2,\)",
        ),
        (lambda environment, observation: np.zeros(3), r"gave array\(\[0., 0., 0.\]\)"),
    ],
)
def test_the_expert_is_told_from_the_environment(expert: object, said: str) -> None:
    task = misbehaving.goal_task()
    broken = Task(task.name, task.make, expert, task.inputs, task.outputs)
    with pytest.raises(L0SurgicalError, match=f"the expert of misbehaving/Goal-v0 {said}"):
        recorder = Recorder(broken.open())
        collect_demonstrations(recorder, GoalRules(recorder, task.name), broken, 2, 0)
    assert np.all(expert_action(task.expert, task.open(), Goal().reset(seed=0)[0]) != 0)

"""Stimuli and the reactions that the dVRK's own software showed to them (tests/data/dvrk_pairs.json), played
to any arm.

python tests/robot/simulated_arm/dvrk_pairs.py check --domain 7             does this arm react alike?
python tests/robot/simulated_arm/dvrk_pairs.py record --domain 7 --times 3  write down what the dVRK does

A pair has `given`, the steps that bring the arm to where it begins, `when`, the steps of the stimulus, and
`then`, what is read from the arm's topics. The first step of `given` is the name of one of the file's
`starts`; FRESH is an arm that was never homed: those pairs are played first and in their order to an arm that
has just been started.

Steps: {"topic", "message"} publishes, with {"repeat", "every", "add"} that often, each time with so much more
in the numbers that `add` names; {"wait"} lets seconds pass; {"until": {"topic", "field", "value"}, "at_most"}
waits for the newest message to say so.

Readings are of the messages that came `from`..`to` seconds after the first step of `when`, in the way of
`read` (see `pair_readings.READINGS`); numbers may differ from `value` by `tolerance`.
"""

import argparse
import contextlib
import dataclasses
import json
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from pair_readings import READINGS, Heard, Json, differs, field, is_like, middle, value_of

from l0_surgical.robot.control import records
from l0_surgical.robot.control.records import Empty, HalfPlaneGains, Record
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.messaging.dds import DdsTransport
from l0_surgical.robot.messaging.transport import Publisher, Qos, Transport

FILE = Path(__file__).parents[2] / "data" / "dvrk_pairs.json"
SYSTEM = dict.fromkeys(crtk.SYSTEM_TOPICS.values(), Empty)
POLL_S = 0.002
# a pair during which this process stood still for longer than that says nothing about the arm
LATE_S = 0.1
TRIES = 4
DISCOVERY_S = 10.0
LONG = Qos(5000)


class UnreachedError(Exception):
    """The arm could not be brought to where a pair begins."""


class Pace(Protocol):
    """Time as the player reads it and lets it pass: the module `time`, or a stepped clock."""

    def monotonic(self) -> float: ...

    def time_ns(self) -> int: ...

    def sleep(self, seconds: float, /) -> None: ...


class Player:
    """Plays pairs to one arm and hears all that it says on `topics`, whenever `listen` is called.

    Args:
        transport: to the arm; whoever opened it closes it.
        arm: its namespace.
        topics: those that are listened to; what nobody listens to costs the arm nothing.
        pace: of the arm.
    """

    def __init__(self, transport: Transport, arm: str, topics: set[str], pace: Pace = time) -> None:
        self._arm = arm
        self._transport = transport
        self._pace = pace
        self._publishers: dict[str, Publisher] = {}
        self._heard: dict[str, list[Heard]] = {topic: [] for topic in topics}
        self._ears = {}
        for topic in topics:
            known = crtk.PUBLISHED[topic]
            qos = dataclasses.replace(LONG, transient_local=known.qos.transient_local)
            self._ears[topic] = self._transport.subscription(crtk.topic_name(arm, topic), known.record, qos)
        self._was_homed = False
        self._latest_s = 0.0

    def listen(self) -> None:
        """Takes what has been said."""
        for topic, ear in self._ears.items():
            self._heard[topic] += [
                Heard(1e-9 * received.received_ns, received.record) for received in ear.take()
            ]

    def listen_until(self, stop: threading.Event) -> None:
        """Listens all the time: what a thread does beside a player in real time."""
        former = time.monotonic()
        while not stop.wait(POLL_S):
            self.listen()
            now = time.monotonic()
            self._latest_s = max(self._latest_s, now - former)
            former = now

    def ready(self, commands: set[str]) -> None:
        """Waits until the arm has found every topic that is spoken or listened to."""
        for topic in commands:
            self._publisher(topic)
        ends = [*self._publishers.values(), *self._ears.values()]
        deadline = self._pace.monotonic() + DISCOVERY_S
        while lonely := [end.topic for end in ends if not end.peers()]:
            if self._pace.monotonic() > deadline:
                raise UnreachedError(f"nobody is at {', '.join(lonely)}")
            self._pace.sleep(0.01)

    def play(self, pair: Json, starts: dict[str, list[Json | str]]) -> list[Any]:
        """Brings the arm to the pair's start, gives the stimulus, and returns what the pair's readings read.

        Where this process was late itself, it is done again; an arm that has heard nothing yet comes only
        once.

        Raises:
            UnreachedError: the arm does not come to the start.
        """
        is_fresh = pair["given"][0] == "FRESH"
        if not (is_fresh or self._was_homed):
            # homing for the first time has a tool to engage
            for step in spelled_out(["HOMED"], starts):
                self._do(step)
        self._was_homed |= not is_fresh
        for _ in range(1 if is_fresh else TRIES):
            for step in spelled_out(pair["given"], starts):
                self._do(step)
            self._latest_s = 0.0
            begun = self._pace.monotonic()
            for step in pair["when"]:
                self._do(step)
            last = max(expected["to"] for expected in pair["then"])
            # 50 ms for what was said in time to be heard as well
            self._pace.sleep(max(0.0, begun + last + 0.05 - self._pace.monotonic()))
            read = [self._read(expected, begun) for expected in pair["then"]]
            if self._latest_s < LATE_S:
                break
        return read

    def forget(self) -> None:
        """Keeps only the newest message of each topic."""
        for heard in self._heard.values():
            del heard[:-1]

    def _read(self, expected: Json, begun: float) -> Any:
        said = [Heard(heard.at_s - begun, heard.record) for heard in list(self._heard[expected["topic"]])]
        return READINGS[expected["read"]](said, expected)

    def _publisher(self, topic: str) -> Publisher:
        if topic not in self._publishers:
            full = topic if topic in SYSTEM else crtk.topic_name(self._arm, topic)
            self._publishers[topic] = self._transport.publisher(full, record_type(topic), Qos(10))
        return self._publishers[topic]

    def _do(self, step: Json) -> None:
        if "wait" in step:
            self._pace.sleep(step["wait"])
        elif "until" in step:
            self._wait_until(step)
        else:
            begun = self._pace.monotonic()
            for number in range(step.get("repeat", 1)):
                early_s = begun + number * step.get("every", 0.0) - self._pace.monotonic()
                self._latest_s = max(self._latest_s, -early_s)
                self._pace.sleep(max(0.0, early_s))
                message = {**step.get("message", {})}
                for name, change in step.get("add", {}).items():
                    message[name] = [
                        value + number * more for value, more in zip(message[name], change, strict=True)
                    ]
                self._publisher(step["topic"]).publish(
                    as_record(step["topic"], message, self._arm, self._pace.time_ns())
                )

    def _wait_until(self, step: Json) -> None:
        wanted, deadline = step["until"], self._pace.monotonic() + step["at_most"]
        while True:
            heard = self._heard[wanted["topic"]]
            if heard and is_like(
                field(heard[-1].record, wanted["field"]), wanted["value"], wanted.get("tolerance", 0.0)
            ):
                return
            if self._pace.monotonic() > deadline:
                last = field(heard[-1].record, wanted["field"]) if heard else "nothing"
                raise UnreachedError(
                    f"{wanted['topic']} {wanted['field']} is {last}, not {wanted['value']}, after "
                    f"{step['at_most']} s"
                )
            self._pace.sleep(POLL_S)


@contextlib.contextmanager
def player_at(domain: int, arm: str, topics: set[str]) -> Iterator[Player]:
    """A player to an arm in a DDS domain, in real time."""
    stop = threading.Event()
    with DdsTransport(domain) as transport:
        player = Player(transport, arm, topics)
        listener = threading.Thread(target=player.listen_until, args=(stop,), daemon=True)
        listener.start()
        try:
            yield player
        finally:
            stop.set()
            listener.join()


def spelled_out(steps: list[Json | str], starts: dict[str, list[Json | str]]) -> Iterator[Json]:
    """The steps, with those of a start in the place of its name."""
    for step in steps:
        if isinstance(step, str):
            yield from spelled_out(starts[step], starts)
        else:
            yield step


def record_type(topic: str) -> type[Record]:
    return SYSTEM[topic] if topic in SYSTEM else crtk.SUBSCRIBED[topic].record


def as_record(topic: str, message: Json, arm: str, now_ns: int) -> Record:
    """A step's message as the topic's record; what it leaves out is now, the arm's base frame, or nothing."""
    kind = record_type(topic)
    names = [part.name for part in dataclasses.fields(kind)]
    given = {
        "stamp_ns": now_ns,
        "frame_id": f"{arm}_base",
        "name": (),
        **{name: value_of(message[name]) for name in message},
    }
    if kind is records.CartesianImpedance:
        given |= {name: HalfPlaneGains(**value) for name, value in given.items() if isinstance(value, dict)}
    return kind(
        **{name: given[name] for name in names if name in given or name not in ("velocity", "effort")}
    )


def load(file: Path = FILE) -> Json:
    return json.loads(file.read_text())


def topics_of(data: Json) -> tuple[set[str], set[str]]:
    """The topics that the file listens to, and those that it speaks on."""
    starts = data["starts"]
    steps = [step for pair in data["pairs"] for step in spelled_out([*pair["given"], *pair["when"]], starts)]
    heard = {expected["topic"] for pair in data["pairs"] for expected in pair["then"]}
    heard |= {step["until"]["topic"] for step in steps if "until" in step}
    return heard, {step["topic"] for step in steps if "topic" in step}


def play_all(player: Player, data: Json) -> Iterator[tuple[Json, list[Any] | str]]:
    """Every pair with what was read, or with why it could not be played."""
    for pair in data["pairs"]:
        try:
            yield pair, player.play(pair, data["starts"])
        except UnreachedError as error:
            yield pair, str(error)
        player.forget()


def check(player: Player, data: Json) -> dict[str, list[str]]:
    """What is different at the player's arm, for each pair's id."""
    found = {}
    for pair, read in play_all(player, data):
        wrong = (
            [read]
            if isinstance(read, str)
            else [differs(expected, value) for expected, value in zip(pair["then"], read, strict=True)]
        )
        found[pair["id"]] = [line for line in wrong if line]
    return found


def record(player: Player, data: Json, times: int) -> None:
    """Plays every pair `times` times and puts the middle of what was read into its `value`s; says where the
    runs disagree."""
    runs: dict[str, list[list[Any]]] = {}
    for _ in range(times):
        for pair, read in play_all(player, data):
            if isinstance(read, str):
                raise UnreachedError(f"{pair['id']}: {read}")
            runs.setdefault(pair["id"], []).append(read)
    for pair in data["pairs"]:
        for number, expected in enumerate(pair["then"]):
            values = [run[number] for run in runs[pair["id"]]]
            expected["value"] = middle(values)
            for line in filter(None, (differs(expected, value) for value in values)):
                sys.stderr.write(f"{pair['id']}: the runs disagree: {line}\n")


def dump(data: Json, file: Path) -> None:
    """One line for each step and reading."""

    def line(value: Any) -> str:
        return json.dumps(value, allow_nan=False)

    def block(name: str, parts: list[Json | str], indent: str) -> str:
        return (
            f"{indent}{line(name)}: [\n"
            + ",\n".join(f"{indent} {line(part)}" for part in parts)
            + f"\n{indent}]"
        )

    pairs = [
        "  {"
        + f'"id": {line(pair["id"])},\n   "what": {line(pair["what"])},\n'
        + ",\n".join(block(name, pair[name], "   ") for name in ("given", "when", "then"))
        + "\n  }"
        for pair in data["pairs"]
    ]
    about = ",\n".join(f"  {line(name)}: {line(value)}" for name, value in data["about"].items())
    starts = ",\n".join(block(name, steps, "  ") for name, steps in data["starts"].items())
    file.write_text(
        f'{{\n "about": {{\n{about}\n }},\n "starts": {{\n{starts}\n }},\n "pairs": [\n'
        + ",\n".join(pairs)
        + "\n ]\n}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("action", choices=("check", "record"))
    parser.add_argument("--domain", type=int, required=True)
    parser.add_argument("--arm", default="PSM1")
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--out", type=Path, help="where record writes to (default: the file itself)")
    parser.add_argument("--only", nargs="+", default=[], help="ids of pairs, or how they begin")
    parser.add_argument("--times", type=int, default=3, help="how often record plays each pair")
    asked = parser.parse_args()
    data = load(asked.file)
    chosen = {
        **data,
        "pairs": [
            pair for pair in data["pairs"] if not asked.only or pair["id"].startswith(tuple(asked.only))
        ],
    }
    heard, spoken = topics_of(chosen)
    with player_at(asked.domain, asked.arm, heard) as player:
        player.ready(spoken)
        if asked.action == "record":
            record(player, chosen, asked.times)
            # the pairs are the same objects: those that were not chosen keep their values
            dump(data, asked.out or asked.file)
            return 0
        found = check(player, chosen)
    for name, lines in found.items():
        sys.stdout.write(f"{name}: {'; '.join(lines) or 'as the dVRK'}\n")
    wrong = sum(bool(lines) for lines in found.values())
    sys.stdout.write(f"{len(found) - wrong} of {len(found)} pairs as recorded\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""A controller at an arm with everything that is opened around it: what `l0-surgical control` and the ROS 2
node have in common."""

import contextlib
from collections.abc import Callable

from l0_surgical import runtime
from l0_surgical.policy import find_policy, load_policy
from l0_surgical.robot.control.controller import Controller
from l0_surgical.robot.control.limits import Limits, load_limits
from l0_surgical.robot.control.policy_task import task_of
from l0_surgical.robot.control.realtime import RealTime, enter_real_time
from l0_surgical.robot.messaging.arm_client import CrtkArm
from l0_surgical.robot.messaging.recording import Recording, check_new_recording
from l0_surgical.robot.messaging.transport import Transport
from l0_surgical.robot.requests import ConnectionSettings
from l0_surgical.surgical import ArmTask
from l0_surgical.system.files import WatchedFile


class Connection:
    """Reads and judges all that the settings name, then opens everything in the right order; `close` closes
    all.

    Nothing is sent before somebody arms the `controller`.

    Args:
        settings: what to run.
        open_transport: opens the transport to the arm, after all threads have taken real-time priority, which
            new ones inherit.
        judge: raises what the caller has against this task and these limits, before anything is opened.

    Raises:
        BadInputError, L0SurgicalError: something cannot be read, does not fit or cannot be opened; nothing
        stays open.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        open_transport: Callable[[], Transport],
        judge: Callable[[ArmTask, Limits], object] = lambda task, limits: None,
    ) -> None:
        path = find_policy(settings.policy)
        policy = load_policy(path)
        task = task_of(policy)
        limits = load_limits(settings.limits, settings.arm, task)
        judge(task, limits)
        if settings.record is not None:
            check_new_recording(settings.record)
        # what has to be compiled is, before memory is locked
        runtime.compile(policy)
        self.settings = settings
        self.warnings: list[str] = []
        self.real_time = enter_real_time(whole_process=True) if settings.real_time else _NOT_ASKED_FOR
        self._file = WatchedFile(path)
        with contextlib.ExitStack() as opened:
            transport = open_transport()
            opened.callback(transport.close)
            self.arm = CrtkArm(transport, settings.arm)
            self.recording = Recording(settings.record, transport) if settings.record else None
            if self.recording is not None:
                opened.callback(self.recording.close)
            self.controller = Controller(
                policy,
                self.arm,
                limits,
                servo_rate=settings.servo_rate,
                speed=settings.speed,
                dry_run=settings.dry_run,
                recorder=self.recording,
            )
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Completes the recording and leaves the arm's topics; harmless when that is done already.

        Raises:
            L0SurgicalError: the disk did not take the whole recording; everything is closed nevertheless.
        """
        self._opened.close()

    def look_after_files(self) -> list[str]:
        """Adds to `warnings` what has become of the policy's file and of the recording; returns what is
        new."""
        found = []
        if self._file.has_changed():
            found.append(
                f"the policy file {self._file.path} has changed; this goes on with the one it loaded: start "
                "again to use the new one"
            )
        if self.recording is not None and self.recording.failure:
            found.append(f"nothing more is recorded: {self.recording.failure}")
        new = [text for text in found if text not in self.warnings]
        self.warnings += new
        return new


_NOT_ASKED_FOR = RealTime(False, False, ("real-time priority: not asked for", "locked memory: not asked for"))

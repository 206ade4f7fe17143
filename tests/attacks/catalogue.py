"""All attacks, in the groups in which the table shows them."""

from tests.attacks import commands, copies, floods, frames, lies, people, processes, telemetry
from tests.attacks.attack import Attack

GROUPS: dict[str, list[Attack]] = {
    "Baseline": [commands.BASELINE],
    "Motion commands of somebody else": commands.MOTION,
    "Somebody stops the arm": commands.STOPS,
    "The jaw": commands.JAW,
    "The arm's state and settings": commands.STATE,
    "Copies of the controller's own commands": copies.COPIES,
    "The base frame": frames.BASE_FRAME,
    "A second publisher that is silent": telemetry.SILENT,
    "A second publisher of poses": telemetry.POSES,
    "A second publisher of joints and jaw": telemetry.JOINTS_AND_JAW,
    "A second publisher of the state and errors": telemetry.STATES,
    "Other types and qualities of service": telemetry.OTHER_TYPES,
    "The arm says wrong poses": lies.POSES,
    "The arm says wrong stamps": lies.STAMPS,
    "The arm says wrong joints": lies.JOINTS,
    "The arm says a wrong jaw or state": lies.JAWS_AND_STATES,
    "People inside the arm": people.PEOPLE,
    "Failures of the arm": people.FAILURES,
    "Floods": floods.FLOODS,
    "The arm's process": processes.ARM,
    "The controller's process": processes.CONTROLLER,
    "The computer and the operator": processes.COMPUTER,
}
ATTACKS: dict[str, Attack] = {attack.name: attack for group in GROUPS.values() for attack in group}
assert len(ATTACKS) == sum(map(len, GROUPS.values())), "two attacks have the same name"

_VARIANTS = """
servo_cp_once_approaching move_cp_in_place move_cp_ready free_ready free_approaching free_holding hold_10hz
jaw_servo_a_little state_enable_ready state_home state_resume state_nonsense servo_cs_nothing
setting_trajectory_j_set_ratio_v setting_trajectory_j_set_ratio_a setting_emulate_tool_present
setting_emulate_adapter_present setting_body_set_cf_orientation_absolute replay_once_at_once replay_once_20ms
replay_once_500ms copy_own_stamp copy_stamp_1ns copy_other_quaternion copy_1um frame_step_0_5mm
frame_creep_approaching frame_holding frame_renamed frame_nan silent_jaw_measured_js silent_operating_state
silent_ready cp_same cp_biased_1ns_later cp_and_local_biased cp_jump_20mm cp_nan cp_inf_orientation
cp_zero_orientation cp_1e308 cp_wrong_frame cp_frame_almost_right cp_frame_1_MB cp_stamp_zero cp_stamp_10s_old
cp_stamp_10s_ahead setpoint_1mm_before setpoint_9mm js_50mm jaw_nan jaw_empty state_spoofed_fault
state_spoofed_lower_case state_spoofed_busy state_spoofed_same servo_cp_best_effort cp_other_type
lie_cp_orientation_long lie_cp_other_quaternion lie_cp_no_frame lie_cp_turned lie_local_nan lie_local_silent
lie_setpoint_nan lie_setpoint_frozen lie_setpoint_silent lie_js_jitter lie_cp_silent lie_js_five lie_js_empty
lie_js_1_9mm lie_js_stamps_old lie_js_silent lie_js_and_frame lie_jaw_silent lie_state_future lie_state_empty
lie_state_1_MB lie_state_not_homed lie_state_busy_ready lie_state_1970_before clutch_approaching
clutch_holding clutch_before teleoperation_approaching teleoperation_holding arm_pauses arm_unhomes
arm_goes_stale arm_jumps flood_local_measured_cp flood_setpoint_cp flood_measured_js flood_jaw_measured_js
flood_operating_state flood_servo_jp flood_set_base_frame flood_state_command flood_jaw_servo_jp arm_stopped
arm_doubled_before arm_psm1_beside controller_stopped_shortly controller_stopped control_killed
controller_doubled clock_set_back clock_set_30ms clock_set_ready goals_impossible servo_cp_holding
servo_jr_zero spatial_servo_cf setting_use_gravity_compensation jaw_servo_in_place jaw_effort state_1_MB
replay_stream_0_5s silent_local_measured_cp silent_measured_js setpoint_1_3mm_before setpoint_9mm_ready js_nan
state_spoofed_1970 lie_cp_orientation_zero lie_cp_growing lie_all_cp lie_setpoint_1_5mm_ready
lie_cp_stamps_frozen lie_cp_stamp_ahead lie_cp_half_rate lie_js_seven lie_js_50mm lie_jaw_nan arm_faults
arm_stopped_long hold_approaching state_enable
"""
VARIANTS = frozenset(_VARIANTS.split())
"""Much like others: played only where all are asked for (--all-attacks)."""
assert ATTACKS.keys() >= VARIANTS, VARIANTS - ATTACKS.keys()


def find_attack(name: str) -> Attack:
    return ATTACKS[name]

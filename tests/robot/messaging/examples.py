"""One record of every type with distinct field values, and the bytes that ROS 2 puts on the wire for it,
written out by hand.

XCDR version 1, little endian: the four bytes 00 01 00 00, then the fields, each aligned to its own size
counted from behind those four.
"""

from struct import pack

from l0_surgical.robot.control import records
from l0_surgical.robot.control.records import Record

STAMP_NS = 1_234_567_890_987_654_321
LITTLE_ENDIAN = bytes.fromhex("00 01 00 00")
# seconds, nanoseconds, then the string with its length and closing NUL: 22 bytes, so that what follows is
# aligned by two more
STAMP = pack("<i", 1_234_567_890) + pack("<I", 987_654_321)
HEADER = STAMP + pack("<I", 10) + b"PSM1_base\0"
PAD_2, PAD_4, PAD_7 = bytes(2), bytes(4), bytes(7)

EXAMPLES: dict[str, tuple[Record, bytes]] = {
    "PoseStamped": (
        records.PoseStamped(STAMP_NS, "PSM1_base", (0.01, -0.02, -0.1135), (0.1, 0.2, 0.3, 0.9)),
        LITTLE_ENDIAN
        + HEADER
        + PAD_2
        + pack("<ddd", 0.01, -0.02, -0.1135)
        + pack("<dddd", 0.1, 0.2, 0.3, 0.9),
    ),
    "TwistStamped": (
        records.TwistStamped(STAMP_NS, "PSM1_base", (1.0, 2.0, 3.0), (4.0, 5.0, 6.0)),
        LITTLE_ENDIAN + HEADER + PAD_2 + pack("<ddd", 1.0, 2.0, 3.0) + pack("<ddd", 4.0, 5.0, 6.0),
    ),
    "WrenchStamped": (
        records.WrenchStamped(STAMP_NS, "PSM1_base", (-1.0, -2.0, -3.0), (0.4, 0.5, 0.6)),
        LITTLE_ENDIAN + HEADER + PAD_2 + pack("<ddd", -1.0, -2.0, -3.0) + pack("<ddd", 0.4, 0.5, 0.6),
    ),
    "JointState": (
        records.JointState(STAMP_NS, "PSM1_base", ("yaw", "pitch"), (0.25, -0.5), (0.125,), ()),
        LITTLE_ENDIAN
        + HEADER
        + PAD_2
        + pack("<I", 2)
        + (pack("<I", 4) + b"yaw\0")
        + (pack("<I", 6) + b"pitch\0" + PAD_2)
        + (pack("<I", 2) + PAD_4 + pack("<dd", 0.25, -0.5))
        + (pack("<I", 1) + PAD_4 + pack("<d", 0.125))
        + pack("<I", 0),
    ),
    "JointState without names": (
        records.JointState(STAMP_NS, "", (), (0.25, -0.5), (), (3.0,)),
        LITTLE_ENDIAN
        + STAMP
        + (pack("<I", 1) + b"\0" + bytes(3))
        + pack("<I", 0)
        + (pack("<I", 2) + pack("<dd", 0.25, -0.5))
        + pack("<I", 0)
        + (pack("<I", 1) + pack("<d", 3.0)),
    ),
    "CartesianState": (
        records.CartesianState(
            STAMP_NS,
            "PSM1_base",
            (0.01, -0.02, -0.1135),
            (0.1, 0.2, 0.3, 0.9),
            True,
            (1.0, 2.0, 3.0),
            (4.0, 5.0, 6.0),
            False,
            (-1.0, -2.0, -3.0),
            (0.4, 0.5, 0.6),
            True,
        ),
        LITTLE_ENDIAN
        + (HEADER + PAD_2)
        + (pack("<7d", 0.01, -0.02, -0.1135, 0.1, 0.2, 0.3, 0.9) + b"\x01" + PAD_7)
        + (pack("<6d", 1.0, 2.0, 3.0, 4.0, 5.0, 6.0) + b"\x00" + PAD_7)
        + (pack("<6d", -1.0, -2.0, -3.0, 0.4, 0.5, 0.6) + b"\x01"),
    ),
    "CartesianImpedance": (
        records.CartesianImpedance(
            STAMP_NS,
            "PSM1_base",
            (0.1, 0.2, 0.3, 0.9),
            (0.01, -0.02, -0.1135),
            (0.4, 0.5, 0.6, 0.7),
            records.HalfPlaneGains((1.0, 2.0, 3.0), (4.0, 5.0, 6.0), (7.0, 8.0, 9.0), (10.0, 11.0, 12.0)),
            records.HalfPlaneGains(
                (13.0, 14.0, 15.0), (16.0, 17.0, 18.0), (19.0, 20.0, 21.0), (22.0, 23.0, 24.0)
            ),
            records.HalfPlaneGains(
                (25.0, 26.0, 27.0), (28.0, 29.0, 30.0), (31.0, 32.0, 33.0), (34.0, 35.0, 36.0)
            ),
            records.HalfPlaneGains(
                (37.0, 38.0, 39.0), (40.0, 41.0, 42.0), (43.0, 44.0, 45.0), (46.0, 47.0, 48.0)
            ),
        ),
        LITTLE_ENDIAN
        + (HEADER + PAD_2)
        + (
            pack("<4d", 0.1, 0.2, 0.3, 0.9)
            + pack("<3d", 0.01, -0.02, -0.1135)
            + pack("<4d", 0.4, 0.5, 0.6, 0.7)
        )
        + pack("<48d", *range(1, 49)),
    ),
    "Joy": (
        records.Joy(STAMP_NS, "PSM1_base", (0.5, -0.25), (1, -2, 3)),
        LITTLE_ENDIAN
        + HEADER
        + PAD_2
        + (pack("<I", 2) + pack("<ff", 0.5, -0.25))
        + (pack("<I", 3) + pack("<iii", 1, -2, 3)),
    ),
    "Joy of a button": (
        records.Joy(STAMP_NS, "", (), (1,)),
        LITTLE_ENDIAN
        + STAMP
        + (pack("<I", 1) + b"\0" + bytes(3))
        + pack("<I", 0)
        + (pack("<I", 1) + pack("<i", 1)),
    ),
    "OperatingState": (
        records.OperatingState(STAMP_NS, "PSM1_base", "ENABLED", True, False),
        LITTLE_ENDIAN + HEADER + PAD_2 + pack("<I", 8) + b"ENABLED\0" + b"\x01" + b"\x00",
    ),
    "StringStamped": (
        records.StringStamped(STAMP_NS, "PSM1_base", "home"),
        LITTLE_ENDIAN + HEADER + PAD_2 + pack("<I", 5) + b"home\0",
    ),
    "String": (records.String("1 µm"), LITTLE_ENDIAN + pack("<I", 6) + b"1 \xc2\xb5m\0"),
    "Bool": (records.Bool(True), LITTLE_ENDIAN + b"\x01"),
    "Float64": (records.Float64(-2.5), LITTLE_ENDIAN + pack("<d", -2.5)),
    "Float64MultiArray": (
        records.Float64MultiArray((1.5, -2.5, 3.5)),
        # no dimensions, no offset, three numbers
        LITTLE_ENDIAN + pack("<I", 0) + pack("<I", 0) + pack("<I", 3) + PAD_4 + pack("<ddd", 1.5, -2.5, 3.5),
    ),
    # IDL has no empty structures: ROS 2 gives it one byte
    "Empty": (records.Empty(), LITTLE_ENDIAN + b"\x00"),
}

"""A policy: the record, its file, exact reductions of it, and its description. NumPy and safetensors only.

One file holds everything needed to act: the network, the observation and action conversions, where it came
from and how well it does. `low_rank`, `simplify` and `description` are modules beside what is named here.
"""

from l0_surgical.policy.files import (
    find_policy,
    load_policy,
    policy_bytes,
    policy_from_bytes,
    save_policy,
    shipped_policies,
)
from l0_surgical.policy.format import FORMAT_VERSION
from l0_surgical.policy.records import (
    Activation,
    Dense,
    Field,
    Layer,
    LowRank,
    Normalizer,
    PackedSparse,
    Policy,
    PolicyFileError,
    Weight,
)

__all__ = [
    "FORMAT_VERSION",
    "Activation",
    "Dense",
    "Field",
    "Layer",
    "LowRank",
    "Normalizer",
    "PackedSparse",
    "Policy",
    "PolicyFileError",
    "Weight",
    "find_policy",
    "load_policy",
    "policy_bytes",
    "policy_from_bytes",
    "save_policy",
    "shipped_policies",
]

"""Member-stacked networks: plain dense modules that know nothing of sparsity."""

from l0_surgical.algorithms.networks.mlp import MemberLinear, MemberMLP, network_seeds, to_policy_layers

__all__ = ["MemberLinear", "MemberMLP", "network_seeds", "to_policy_layers"]

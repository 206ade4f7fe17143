"""Sparsifiers: objects that take weights away from a network while an algorithm trains it."""

from l0_surgical.sparsity.base import NoSparsifier, Sparsifier
from l0_surgical.sparsity.hard_concrete import GateSettings, HardConcrete
from l0_surgical.sparsity.report import LayerReport, network_sparsity, network_sparsity_at_init
from l0_surgical.sparsity.schedule import Schedule
from l0_surgical.sparsity.shrinkage import Shrinkage

__all__ = [
    "GateSettings",
    "HardConcrete",
    "LayerReport",
    "NoSparsifier",
    "Schedule",
    "Shrinkage",
    "Sparsifier",
    "network_sparsity",
    "network_sparsity_at_init",
]

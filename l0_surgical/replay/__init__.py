"""Experience: hindsight replay buffers per member and expert demonstrations."""

from l0_surgical.replay.demonstrations import Demonstrations, collect_demonstrations, expert_actions
from l0_surgical.replay.hindsight import Batch, Episode, HindsightReplay

__all__ = ["Batch", "Demonstrations", "Episode", "HindsightReplay", "collect_demonstrations", "expert_actions"]

"""Experience: hindsight replay buffers per member and expert demonstrations."""

from l0_surgical.replay.demonstrations import Demonstrations, expert_actions
from l0_surgical.replay.hindsight import Batch, Episode, HindsightReplay
from l0_surgical.replay.recorder import Recorder

__all__ = ["Batch", "Demonstrations", "Episode", "HindsightReplay", "Recorder", "expert_actions"]

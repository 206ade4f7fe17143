"""l0_surgical: train a deep-RL policy sparse, fold it to low rank, run what is left on a surgical robot.

The training side (tasks, algorithms, sparsity, training) needs the `train` extra; everything that a robot's
computer runs (policy, runtime, surgical, robot without its simulated arm) needs only NumPy, numba and
safetensors.
"""

__version__ = "0.1.0"

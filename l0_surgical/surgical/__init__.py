"""The arm's kinematics, and each surgical task's one rule for the simulated and the real arm (NumPy only)."""

"""A policy on an arm: the controller, the messages, the simulated arm, and what opens and runs them.

`control`, `messaging` and the modules beside them need NumPy, numba and safetensors only; `simulated_arm`
needs a simulator.
"""

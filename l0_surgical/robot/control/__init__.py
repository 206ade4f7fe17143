"""The ROS-free robot controller: NumPy only, so that a robot's computer needs nothing of the training
side."""

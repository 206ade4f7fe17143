"""Speaking to the arm: CRTK's topics over plain DDS (cyclonedds, no ROS needed) or over rclpy, behind one
small interface."""

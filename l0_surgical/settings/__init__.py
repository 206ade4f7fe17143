"""Every setting of a run with its bounds, and the presets; no tensor library."""

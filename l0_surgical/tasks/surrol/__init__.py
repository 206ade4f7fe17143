"""Tasks of an installed SurRoL, each environment in a process of its own."""

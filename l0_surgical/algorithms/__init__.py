"""Learning algorithms, one file each, readable top to bottom beside the paper."""

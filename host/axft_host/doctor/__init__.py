"""A board looked at from the bus to the network, and the bundle about it that can be sent to somebody else."""

"""Ways to execute the specification: the emulator, and what every backend has in common."""

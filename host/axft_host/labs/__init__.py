"""What the notebooks in ``labs/`` stand on: their first cell, and checks that answer a student."""

from axft_host.labs.session import Lab, LabStop, start

__all__ = ["Lab", "LabStop", "start"]

"""What the notebooks in ``labs/`` stand on: their first cell, and checks that answer a student."""

from axft_host.campaign.blas import use_one_blas_thread

# Before numpy is loaded: the labs' matrices are small, and threads that wait for each other take several times as long.
use_one_blas_thread()

from axft_host.labs.session import Lab, LabStop, start  # noqa: E402

__all__ = ["Lab", "LabStop", "start"]

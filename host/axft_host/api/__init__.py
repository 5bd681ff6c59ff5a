"""What notebooks use, in the words of the command line; ``import axft`` gives it a shorter name.

Most of the time: `Config`, `load_network`, `load_images`, `inject`, `Campaign`, `report` and `open_backend`.
To see how it works inside: `trace`, `tile_operands`, `schedule`, `follow`, `multiplier`. `figures` draws.

Nothing is computed here: every function calls what the command of its name calls, so that both say the same.
"""

from axft_host.api import figures
from axft_host.api.campaigns import Campaign
from axft_host.api.config import Config
from axft_host.api.examination import doctor
from axft_host.api.injection import FollowedFault, follow, inject, resume
from axft_host.api.multipliers import MultiplierErrors, configs, multiplier, multipliers
from axft_host.api.reporting import Report, report
from axft_host.api.results import Result, open_result
from axft_host.api.tracing import Trace, trace
from axft_host.api.workloads import (
    TileOperands,
    infer,
    load_images,
    load_network,
    open_backend,
    schedule,
    tile_operands,
)

__all__ = [
    "Campaign",
    "Config",
    "FollowedFault",
    "MultiplierErrors",
    "Report",
    "Result",
    "TileOperands",
    "Trace",
    "configs",
    "doctor",
    "figures",
    "follow",
    "infer",
    "inject",
    "load_images",
    "load_network",
    "multiplier",
    "multipliers",
    "open_backend",
    "open_result",
    "report",
    "resume",
    "schedule",
    "tile_operands",
    "trace",
]

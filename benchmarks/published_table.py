"""What moves the study's table: one choice that its text leaves open at a time, on the same faults and images.

    python benchmarks/published_table.py --faults 600 --images 100

The base is what the tool behind the study does where the text is silent: Toeplitz lowering, weights floored by the part
(the weight as operand A), a fault that travels down its column, class probabilities compared. Every other column varies
one of these. Prints a table in Markdown: masked / tolerable / critical in percent, the study's row in the first column.
The last line says how wide the intervals are.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from axft_host.campaign.options import CampaignOptions, FaultOptions
from axft_host.campaign.plan import plan_campaign
from axft_host.campaign.runner import run_campaign
from axft_host.campaign.summary import summarise
from axft_host.campaign.workload import WorkloadOptions
from axft_spec.config import PRESETS, ArrayConfig

CLASSES = ("masked", "tolerable", "critical")


def variants(base: CampaignOptions, config: ArrayConfig) -> dict[str, CampaignOptions | None]:
    """Return the campaigns of one configuration; None where a choice makes no difference to it."""
    workload, faults = base.workload, base.faults
    part = config.multiplier
    symmetric = part.omit_a == part.omit_b
    return {
        "base": base,
        "other sample": replace(base, faults=replace(faults, seed=1)),
        "one multiplier": replace(base, faults=replace(faults, site="weight_operand")),
        "raw outputs": replace(base, score="raw"),
        "both": replace(base, faults=replace(faults, site="weight_operand"), score="raw"),
        "im2col": replace(base, workload=replace(workload, lowering="im2col")),
        "weights rounded": replace(base, workload=replace(workload, rounding="multiplier")) if part.omit_a else None,
        "activation is A": None if symmetric else replace(base, workload=replace(workload, operand_a="activation")),
    }


def main() -> None:
    """Run all campaigns and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--faults", type=int, default=600)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--configs", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--data", help="as for `axft-hw inject`")
    options = parser.parse_args()
    widest = 0.0
    with tempfile.TemporaryDirectory() as directory:
        for row, name in enumerate(options.configs):
            base = CampaignOptions(
                workload=WorkloadOptions(
                    config=name, lowering="toeplitz", rounding="paper", images=options.images, data=options.data
                ),
                faults=FaultOptions(faults=options.faults),
            )
            cells = []
            campaigns = variants(base, PRESETS[name].config)
            for what, campaign in campaigns.items():
                if campaign is None:
                    cells.append("=")
                    continue
                result = run_campaign(plan_campaign(campaign), Path(directory) / f"{name}-{what}")
                summary = summarise(result.store)
                rates = [getattr(summary, each) for each in CLASSES]
                widest = max(widest, *((rate.high - rate.low) / 2 for rate in rates))
                cells.append(" / ".join(f"{100 * rate.rate:.1f}" for rate in rates))
            if row == 0:
                print(f"| | paper | {' | '.join(campaigns)} |")
                print("|---" * (len(cells) + 2) + "|")
            paper = PRESETS[name].paper
            printed = f"{paper.masked} / {paper.tolerable} / {paper.critical}"
            print(f"| {name} | {printed} | {' | '.join(cells)} |", flush=True)
    print(f"\n{options.faults} faults, {options.images} images; intervals at most {100 * widest:.1f} points to a side")


if __name__ == "__main__":
    main()

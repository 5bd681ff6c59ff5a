"""Writes ``betting_without_replacement.json`` with confseq 0.0.11, which needs numpy 1.x; see ``README.md``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from confseq.betting import betting_mart, hedged_cs

POPULATIONS = {
    "half": lambda rng: (np.arange(500) < 250).astype(float),
    "rare": lambda rng: (np.arange(2000) < 20).astype(float),
    "none": lambda rng: np.zeros(1000),
    "clusters": lambda rng: rng.binomial(40, rng.beta(0.3, 0.9, 800)) / 40,
    "small shares": lambda rng: rng.binomial(40, rng.beta(3, 60, 800)) / 40,
    "most of the space": lambda rng: (np.arange(300) < 30).astype(float),
}
DRAWN = {"half": 100, "rare": 300, "none": 150, "clusters": 150, "small shares": 150, "most of the space": 240}

#: Capital is kept after every so many draws.
EVERY = 10


def main() -> None:
    """Compute capital for given bets at several doubted means, and the package's own interval."""
    cases = []
    for seed, (name, make) in enumerate(POPULATIONS.items()):
        rng = np.random.default_rng(seed)
        population = make(rng)
        shares = rng.permutation(population)[: DRAWN[name]]
        size, drawn = len(population), len(shares)
        reserves = rng.uniform(0.2, 3, drawn)
        before = np.concatenate([[0], np.cumsum(shares)[:-1]])
        low, high = shares.sum() / size, (shares.sum() + size - drawn) / size
        means = [low + part * (high - low) for part in (0.05, 0.2, 0.5, 0.9)] + [population.mean()]
        more, less = [], []
        for mean in means:
            rest = (size * mean - before) / (size - np.arange(drawn))
            up, down = 1 / (reserves + rest), 1 / (reserves + 1 - rest)
            more.append(
                betting_mart(shares, mean, N=size, theta=1, lambdas_fn_positive=lambda x, m, b=up: b, trunc_scale=1)
            )
            less.append(
                betting_mart(shares, mean, N=size, theta=0, lambdas_fn_negative=lambda x, m, b=down: b, trunc_scale=1)
            )
        ends = hedged_cs(shares, alpha=0.05, N=size, breaks=2000)
        cases.append(
            {
                "name": name,
                "population": size,
                "shares": shares.tolist(),
                "reserves": reserves.tolist(),
                "means": [float(mean) for mean in means],
                "capital_more": [capital[EVERY - 1 :: EVERY].tolist() for capital in more],
                "capital_less": [capital[EVERY - 1 :: EVERY].tolist() for capital in less],
                "hedged_cs": [float(ends[0][-1]), float(ends[1][-1])],
            }
        )
    path = Path(__file__).parent / "betting_without_replacement.json"
    path.write_text(json.dumps({"package": "confseq 0.0.11", "cases": cases}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

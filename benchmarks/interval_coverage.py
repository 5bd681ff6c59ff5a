"""How often intervals hold the true rate, and how wide they are: synthetic campaigns, many for each setting.

    python benchmarks/interval_coverage.py --campaigns 10000 --plot coverage.png

Each setting has a population of faults with known shares of images; each campaign draws from it without replacement.
The default interval holds the true rate if neither gambler's capital ever reached its limit at it, see
`axft_host.campaign.confidence`. That is decided without computing the interval, after every fault of the list, so that
the figure is that of all times together. With strata it is decided at their true means, which makes it a lower bound.
Widths are means over the first campaigns (``--widths``), of which the intervals themselves are computed; how many of
those hold the rate is in the last column. Wilson's and Clopper and Pearson's intervals are those of effective counts;
"exact" is the hypergeometric interval of ``inject``. Under sequential stopping, each method stops by its own width.
"faults" are those that are not certainly masked, up to where the default stops.

Needs scipy (Clopper and Pearson for many campaigns at once) and, for the plot, matplotlib.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from axft_host.campaign.confidence import Bets, bets, betting_interval, log_capital, log_threshold
from axft_host.campaign.designs import deviations, neyman, proportional
from axft_host.campaign.statistics import Interval, exact_interval
from axft_host.campaign.stratified import Phase, phased_bets, stratified_interval

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
LIMIT = log_threshold(CONFIDENCE)
#: Campaigns that are computed at once.
CHUNK = 200
#: Faults between two looks under sequential stopping.
EVERY = 50
METHODS = ("default", "wilson", "clopper-pearson", "exact")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Populations to draw from, and how."""

    name: str
    strata: list[Floats]
    drawn: int
    certain: int = 0
    neyman: bool = False
    half_width: float | None = None

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Faults of each stratum, without the certain ones."""
        return np.array([len(stratum) for stratum in self.strata])

    @property
    def rate(self) -> float:
        """The true mean of the faults that are not certain."""
        return float(np.concatenate(self.strata).mean())


@dataclass(kw_only=True)
class Tally:
    """What was seen of one method."""

    campaigns: int = 0
    held: int = 0
    widths: list[float] = field(default_factory=list)
    held_of_widths: int = 0
    faults: list[int] = field(default_factory=list)

    def add(self, low: Floats, high: Floats, rate: float) -> None:
        """Count intervals that hold the rate."""
        self.campaigns += len(low)
        self.held += int(np.count_nonzero((low <= rate + 1e-12) & (rate - 1e-12 <= high)))
        self.widths += (high - low).tolist()

    @property
    def coverage(self) -> float:
        """Part of the campaigns."""
        return self.held / self.campaigns if self.campaigns else math.nan

    @property
    def width(self) -> float:
        """Mean width."""
        return float(np.mean(self.widths)) if self.widths else math.nan


def hits(size: int, count: int) -> Floats:
    """Return faults of which so many hit all images."""
    return (np.arange(size) < count).astype(np.float64)


def clusters(size: int, touched: float, a: float, b: float, images: int = 40) -> Floats:
    """Return faults of which a part changes a beta-distributed share of the images."""
    rng = np.random.default_rng(int(size + 1000 * touched + 100 * a + b))
    shares = np.zeros(size)
    count = round(size * touched)
    shares[:count] = rng.binomial(images, rng.beta(a, b, count)) / images
    return shares


def settings() -> list[Setting]:
    """Return all settings."""
    bits = [hits(1568, round(1568 * rate)) for rate in (0, 0, 0.01, 0.02, 0.1, 0.3, 0.6, 0.8)]
    layers = [clusters(3000, touched, 0.4, 0.8) for touched in (0.02, 0.1, 0.3, 0.9)]
    return [
        Setting(name="half of the faults hit", strata=[hits(12544, 6272)], drawn=600),
        Setting(name="1% hit", strata=[hits(12544, 125)], drawn=600),
        Setting(name="0.1% hit", strata=[hits(12544, 13)], drawn=600),
        Setting(name="all masked", strata=[hits(12544, 0)], drawn=600),
        Setting(name="all critical", strata=[hits(12544, 12544)], drawn=600),
        Setting(name="10% hit, 60 faults", strata=[hits(12544, 1254)], drawn=60),
        Setting(name="clusters of images", strata=[clusters(12544, 0.3, 1, 1)], drawn=600),
        Setting(name="clusters, nearly all or none", strata=[clusters(12544, 0.9, 0.1, 0.1)], drawn=600),
        Setting(name="clusters, small shares", strata=[clusters(12544, 1, 3, 60)], drawn=600),
        Setting(name="clusters, rare", strata=[clusters(12544, 0.005, 0.5, 0.5)], drawn=600),
        Setting(name="90% of 500 drawn, 10% hit", strata=[hits(500, 50)], drawn=450),
        Setting(name="90% of 500 drawn, one hit", strata=[hits(500, 1)], drawn=450),
        Setting(name="60% of 500 drawn, clusters", strata=[clusters(500, 0.5, 0.5, 1)], drawn=300),
        Setting(name="63% certain, clusters", strata=[clusters(4600, 0.3, 0.5, 0.5)], drawn=600, certain=7944),
        Setting(name="8 strata, in proportion", strata=bits, drawn=600),
        Setting(name="4 strata of clusters, in proportion", strata=layers, drawn=400),
        Setting(name="8 strata, Neyman with a pilot", strata=bits, drawn=600, neyman=True),
        Setting(name="stopped at +-4%, clusters", strata=[clusters(12544, 0.3, 1, 1)], drawn=2401, half_width=0.04),
        Setting(name="stopped at +-1%, rare", strata=[hits(12544, 125)], drawn=2401, half_width=0.01),
    ]


# --- samples ----------------------------------------------------------------------------------------------------


def draw(populations: list[Floats], counts: list[int], campaigns: int, rng: np.random.Generator) -> list[Floats]:
    """Return draws without replacement, shape (campaigns, count) for each population."""
    made = []
    for population, count in zip(populations, counts, strict=True):
        shuffled = rng.permuted(np.broadcast_to(population, (campaigns, len(population))), axis=1)
        made.append(shuffled[:, :count])
    return made


def turns(counts: list[int]) -> NDArray[np.int64]:
    """Return strata in turns."""
    places = [((2 * place + 1) / (2 * n), number) for number, n in enumerate(counts) for place in range(n)]
    return np.array([number for _, number in sorted(places)], dtype=np.int64)


def filled(stratum: NDArray[np.int64], drawn: list[Floats]) -> Floats:
    """Return values in the order of the list."""
    values = np.empty((len(drawn[0]), len(stratum)))
    for number, of_stratum in enumerate(drawn):
        values[:, stratum == number] = of_stratum
    return values


# --- the default interval -----------------------------------------------------------------------------------------


def top_capital(values: Floats, made: Bets, stratum: NDArray[np.int64], strata: list[Floats]) -> Floats:
    """Return the highest log-capital that either gambler ever had at the true means, for each campaign."""
    more, less = np.zeros_like(values), np.zeros_like(values)
    for number, population in enumerate(strata):
        mine = stratum == number
        mean = np.full(len(values), population.mean())
        for gains, drawn, reserves, at in (
            (more, values, made.more, mean),
            (less, 1 - values, made.less, 1 - mean),
        ):
            capital = log_capital(drawn[:, mine], reserves[:, mine], len(population), at)
            gains[:, mine] = np.diff(capital, axis=1, prepend=0)
    return np.asarray(np.maximum(np.cumsum(more, axis=1).max(axis=1), np.cumsum(less, axis=1).max(axis=1)))


def campaigns_of(
    setting: Setting, count: int, rng: np.random.Generator
) -> Iterator[tuple[Floats, NDArray[np.int64], list[Phase]]]:
    """Yield chunks of campaigns that have the same plan: values in order, strata, plan."""
    sizes = setting.sizes
    done = 0
    while done < count:
        chunk = min(CHUNK, count - done)
        done += chunk
        if setting.certain:
            # How many of the drawn faults are not certain is chance, and known before anything runs.
            total = int(sizes.sum())
            numbers = rng.hypergeometric(total, setting.certain, setting.drawn, chunk)
            for number in np.unique(numbers):
                values = draw(setting.strata, [int(number)], int((numbers == number).sum()), rng)[0]
                yield values, np.zeros(number, np.int64), [Phase(first=0, planned=(int(number),))]
            continue
        planned = proportional(sizes.tolist(), setting.drawn)
        if not setting.neyman:
            stratum = turns(list(planned))
            yield (
                filled(stratum, draw(setting.strata, list(planned), chunk, rng)),
                stratum,
                [Phase(first=0, planned=planned)],
            )
            continue
        pilot = proportional(sizes.tolist(), setting.drawn // 6)
        first = turns(list(pilot))
        for orders in zip(*draw(setting.strata, sizes.tolist(), chunk, rng), strict=True):
            seen = filled(first, [order[np.newaxis, :n] for order, n in zip(orders, pilot, strict=True)])[0]
            spread = deviations(seen[:, np.newaxis], first, len(sizes))
            counts = neyman(sizes.tolist(), spread, setting.drawn, pilot)
            second = turns([n - begun for n, begun in zip(counts, pilot, strict=True)])
            stratum = np.concatenate([first, second])
            values = filled(stratum, [order[np.newaxis, :n] for order, n in zip(orders, counts, strict=True)])
            yield values, stratum, [Phase(first=0, planned=planned), Phase(first=len(first), planned=counts)]


def default_intervals(
    setting: Setting, values: Floats, stratum: NDArray[np.int64], phases: list[Phase]
) -> list[tuple[Interval, int]]:
    """Return the interval of each campaign, where it stops, and at how many faults."""
    made = []
    sizes = setting.sizes.tolist()
    for row in values:
        drawn = row.shape[0]
        if len(sizes) > 1:
            made.append((stratified_interval(row, stratum, sizes, phases, CONFIDENCE), drawn))
            continue
        looks = [drawn] if setting.half_width is None else [*range(EVERY, drawn, EVERY), drawn]
        low, high = 0, len(looks) - 1
        # The sequence only gets narrower: the first look at which it is narrow enough is found by halving.
        while low < high:
            middle = (low + high) // 2
            at = one_interval(row, looks[middle], drawn, sizes[0], setting)
            wide = at.high - at.low > 2 * (setting.half_width or 0)
            low, high = (middle + 1, high) if wide else (low, middle)
        made.append((one_interval(row, looks[low], drawn, sizes[0], setting), looks[low]))
    return made


def one_interval(row: Floats, look: int, planned: int, size: int, setting: Setting) -> Interval:
    """Return the interval after so many faults."""
    return betting_interval(row[:look], size, planned, CONFIDENCE, half_width=setting.half_width)


# --- the others ---------------------------------------------------------------------------------------------------


def moments(values: Floats, stratum: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return means and effective counts of many campaigns; as `campaign.effective.effective_count`."""
    weights = sizes / sizes.sum()
    rate, variance = np.zeros(len(values)), np.zeros(len(values))
    for number, size in enumerate(sizes):
        mine = values[:, stratum == number]
        n = mine.shape[1]
        rate += weights[number] * mine.mean(axis=1)
        variance += weights[number] ** 2 * (1 - n / size) * mine.var(axis=1, ddof=1) / n
    seen = variance > 1e-15
    count = np.where(seen, rate * (1 - rate) / np.where(seen, variance, 1), values.shape[1])
    return rate, np.maximum(count, 1e-9)


def wilson(rate: Floats, count: Floats) -> tuple[Floats, Floats]:
    """Return Wilson's intervals."""
    z = 1.959963984540054
    middle = (rate + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(np.maximum(rate * (1 - rate), 0) / count + z * z / (4 * count**2))
    return np.maximum(np.minimum(middle - half, rate), 0), np.minimum(np.maximum(middle + half, rate), 1)


def clopper_pearson(rate: Floats, count: Floats) -> tuple[Floats, Floats]:
    """Return Clopper and Pearson's intervals."""
    tail, ones, zeros = (1 - CONFIDENCE) / 2, rate * count, (1 - rate) * count
    low = np.where(ones > 1e-12, betaincinv(np.maximum(ones, 1e-12), zeros + 1, tail), 0)
    high = np.where(zeros > 1e-12, betaincinv(ones + 1, np.maximum(zeros, 1e-12), 1 - tail), 1)
    return low, high


@cache
def exact_ends(floor: int, ceiling: int, drawn: int, size: int) -> tuple[float, float]:
    """Return the hypergeometric interval of sums between two whole numbers."""
    return (
        exact_interval(float(floor), drawn, size, CONFIDENCE).low,
        exact_interval(float(ceiling), drawn, size, CONFIDENCE).high,
    )


def exact(values: Floats, size: int) -> tuple[Floats, Floats]:
    """Return the intervals of ``inject``."""
    totals = values.sum(axis=1)
    ends = [exact_ends(math.floor(total + 1e-9), math.ceil(total - 1e-9), values.shape[1], size) for total in totals]
    return np.array([low for low, _ in ends]), np.array([high for _, high in ends])


def at_stop(
    setting: Setting, values: Floats, make: Callable[[Floats], tuple[Floats, Floats]]
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return the intervals of campaigns that each stop at the first look that is narrow enough."""
    planned = values.shape[1]
    low, high = make(values)
    faults = np.full(len(values), planned)
    going = np.ones(len(values), dtype=bool)
    for look in [*range(EVERY, planned, EVERY)] if setting.half_width else []:
        now_low, now_high = make(values[going][:, :look])
        narrow = now_high - now_low <= 2 * (setting.half_width or 0)
        places = np.flatnonzero(going)[narrow]
        low[places], high[places], faults[places] = now_low[narrow], now_high[narrow], look
        going[places] = False
    return low, high, faults


def run(setting: Setting, campaigns: int, widths: int, seed: int) -> dict[str, Tally]:
    """Simulate one setting."""
    rng = np.random.default_rng(seed)
    tallies = {name: Tally() for name in METHODS}
    sizes = setting.sizes
    weight = sizes.sum() / (sizes.sum() + setting.certain)
    for values, stratum, phases in campaigns_of(setting, campaigns, rng):
        default = tallies["default"]
        if len(sizes) == 1:
            planned = np.array([values.shape[1]])
            made = bets(values, stratum, sizes, planned, CONFIDENCE, half_width=setting.half_width)
        else:
            made = phased_bets(values, stratum, sizes, phases, CONFIDENCE)
        top = top_capital(values, made, stratum, setting.strata)
        default.campaigns += len(values)
        default.held += int(np.count_nonzero(top < LIMIT))
        part = values[: max(0, widths - len(default.widths))]
        for interval, faults in default_intervals(setting, part, stratum, phases):
            default.widths.append((interval.high - interval.low) * weight)
            default.held_of_widths += interval.low - 1e-12 <= setting.rate <= interval.high + 1e-12
            default.faults.append(faults)

        methods: dict[str, Callable[[Floats], tuple[Floats, Floats]]] = {
            "wilson": lambda x, s=stratum: wilson(*moments(x, s[: x.shape[1]], sizes)),
            "clopper-pearson": lambda x, s=stratum: clopper_pearson(*moments(x, s[: x.shape[1]], sizes)),
        }
        if len(sizes) == 1:
            methods["exact"] = lambda x: exact(x, int(sizes[0]))
        for name, make in methods.items():
            low, high, faults = at_stop(setting, values, make)
            tallies[name].add(low, high, setting.rate)
            tallies[name].widths[-len(low) :] = ((high - low) * weight).tolist()
            tallies[name].faults += faults.tolist()
    return tallies


def plot(results: list[dict], error: float, path: Path) -> None:
    """Draw coverage and width of all methods in all settings."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 0.36 * len(results) + 1.6), sharey=True)
    looks = {
        "default": ("#0b5fa5", "o"),
        "wilson": ("#c4511d", "^"),
        "clopper-pearson": ("#6b4c9a", "s"),
        "exact": ("#4d7c0f", "D"),
    }
    places = np.arange(len(results))[::-1]
    for name, (colour, marker) in looks.items():
        coverage = [result["methods"][name]["coverage"] for result in results]
        width = [
            result["methods"][name]["width"] / (result["methods"]["wilson"]["width"] or math.nan) for result in results
        ]
        filled_in = colour if name == "default" else "none"
        left.scatter([100 * c for c in coverage], places, color=colour, facecolor=filled_in, marker=marker, label=name)
        right.scatter(width, places, color=colour, facecolor=filled_in, marker=marker)
    left.axvspan(95 - 100 * error, 95 + 100 * error, color="0.85", zorder=0)
    left.axvline(95, color="0.3", linewidth=1)
    seen = [method["coverage"] for result in results for method in result["methods"].values()]
    left.set_xlim(math.floor(100 * min(value for value in seen if not math.isnan(value))) - 0.5, 100.5)
    left.set_xlabel("campaigns whose interval holds the true rate, %")
    right.axvline(1, color="0.3", linewidth=1)
    right.set_xlabel("mean width, Wilson's = 1")
    right.set_xlim(left=0)
    left.set_yticks(places, [result["setting"] for result in results])
    left.legend(loc="upper left", fontsize="small")
    for axes in (left, right):
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> int:
    """Print the table; the exit status is 1 if the default interval misses its level anywhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--campaigns", type=int, default=10_000)
    parser.add_argument("--widths", type=int, default=100, help="campaigns of which the default interval is computed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="settings whose names contain this")
    parser.add_argument("--plot", type=Path, help="write a PNG")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    error = 2 * math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / options.campaigns)
    results = []
    start = time.perf_counter()
    if not options.json:
        print(f"{options.campaigns} campaigns per setting; coverage must reach {100 * (CONFIDENCE - error):.2f}%")
        names = "".join(f"{name:>22}" for name in METHODS)
        print(f"{'':<36}{'rate':>8}{'faults':>8}{names}{'of those':>10}")
    for number, setting in enumerate(settings()):
        if options.only and options.only not in setting.name:
            continue
        tallies = run(setting, options.campaigns, options.widths, options.seed + number)
        default = tallies["default"]
        result = {
            "setting": setting.name,
            "rate": setting.rate * float(setting.sizes.sum()) / float(setting.sizes.sum() + setting.certain),
            "methods": {
                name: {
                    "coverage": tally.coverage,
                    "width": tally.width,
                    "faults": float(np.mean(tally.faults)) if tally.faults else math.nan,
                }
                for name, tally in tallies.items()
            },
            "default_coverage_where_computed": default.held_of_widths / max(1, len(default.widths)),
            "holds": default.coverage >= CONFIDENCE - error,
        }
        results.append(result)
        if not options.json:
            cells = "".join(
                f"{100 * tally.coverage:13.2f}%{100 * tally.width:7.2f}%" if tally.campaigns else f"{'-':>22}"
                for tally in tallies.values()
            )
            print(
                f"{setting.name:<36}{100 * result['rate']:7.2f}%{np.mean(default.faults):8.0f}{cells}"
                f"{100 * result['default_coverage_where_computed']:9.0f}%",
                flush=True,
            )
    if options.plot:
        plot(results, error, options.plot)
    if options.json:
        print(json.dumps({"campaigns": options.campaigns, "least_coverage": CONFIDENCE - error, "settings": results}))
    else:
        print(f"coverage, mean width; {time.perf_counter() - start:.0f} s")
    return 0 if all(result["holds"] for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())

# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 4: How many faults?
#
# **The question.** A campaign injects a sample of all possible faults and states a rate. How far may the true rate be
# from it? And what exactly is "the number of experiments" when every fault meets a thousand images?
#
# **You will be able to**
#
# * compute a sample size, and say which assumptions are in it;
# * state what the *sampling unit* of a campaign is, and compute the design effect of images under one fault;
# * give an interval that holds, also for "0 critical outcomes";
# * count what is known for certain instead of sampling it;
# * stop a campaign early without cheating.
#
# **Before you start:** lab 3 (a fault has a *share* of images); binomial distribution, standard error, confidence
# interval.
#
# **Time:** 90 minutes.
#
# | part | | minutes |
# |---|---|---|
# | 1 | a fault space that is known entirely | 10 |
# | 2 | the size of a sample | 15 |
# | 3 | what "n pairs" hides | 25 |
# | 4 | nothing found; and what is certain | 15 |
# | 5 | looking too often | 15 |
# | 6 | what may you conclude? | 10 |

# %%
BOARD = "emu"  # where it runs: "emu", "rtl", "pynq" or "link:socket://HOST:PORT"

try:
    from axft_host.labs import start
except ImportError as missing:
    import sys

    class NotInstalled(Exception):
        def _render_traceback_(self):
            return [str(self)]

    raise NotInstalled(
        f"This lab needs axft-hw, and the Python of this notebook has none, or one without labs ({missing}).\n"
        "In a terminal, in the directory of its source, run\n"
        f"    {sys.executable} -m pip install --upgrade '.[labs]'\n"
        "and start again (in Jupyter: Kernel, Restart)."
    ) from None

lab = start("4", board=BOARD, written_for="0.1.0")
check = lab.check

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import axft

IMAGES = 40  # under every fault; more images change the true rates a little, and take longer

# %% [markdown]
# ## 1. A fault space that is known entirely
#
# To judge intervals, one must know the truth. So we take a small array, 8 x 8 PEs, whose fault space can be run
# *completely*: 2 polarities x 8 bits x 64 PEs = 1,024 stuck-at faults on weight lines, each on the same 40 images.
# (This runs on the emulator in some seconds, also if you have a board; sampling does not depend on where outcomes
# come from.)

# %%
results = Path(tempfile.mkdtemp(prefix="axft-lab-4-"))
census = axft.inject(
    axft.Config("34P", array="8x8"), census=True, images=IMAGES, workers=1, progress=False, out=results / "census"
)
faults = census.frame.sort_values(["row", "col", "bit", "kind"], ignore_index=True)
share = {name: (faults[name] / IMAGES).to_numpy() for name in ("masked", "tolerable", "critical")}
N = len(faults)
true_rate = share["critical"].mean()
print(f"{N:,} faults x {IMAGES} images; true critical rate {true_rate:.2%}, on these images")

# %% [markdown]
# `share["critical"]` has one number per fault: the share of the 40 images for which it is critical. These 1,024
# numbers are the population, and the critical rate is their mean.

# %%
fig, grid = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", sharey=True)
for axes, name, colour in zip(grid, ("masked", "critical"), ("#1f6f8b", "#a4133c"), strict=True):
    axes.hist(100 * share[name], bins=np.arange(-2.5, 103, 5), color=colour, edgecolor="white")
    axes.set(xlabel="share of a fault's images, %", title=f"{name}: mean {share[name].mean():.1%}", yscale="log")
grid[0].set_ylabel("faults (logarithmic)")
lab.picture(fig, "Shares over faults: masked ones lie at 0 and 100%, critical ones mostly at 0, with a tail.")

# %% [markdown]
# Whether a fault is masked hardly depends on the image, and most faults are critical for no image at all (many of them
# at bits that the part ignores; part 4 counts these), but some for many. These pictures decide everything below.
#
# If you have set a board at the top, a few of these faults run on it now, and must give the same outcomes, pair by
# pair:

# %%
if lab.on_emulator:
    print("This is the emulator: nothing to compare.")
else:
    few = faults["fault"].tolist()[:: N // 8]
    there = axft.inject(
        axft.Config("34P", array="8x8"), fault_list=few, images=2, progress=False, out=results / "board", **lab.where
    )
    letters = faults.set_index("fault")["outcomes"]
    same = [letters[row.fault].startswith(row.outcomes) for row in there.frame.itertuples()]
    print(f"{sum(same)} of {len(same)} faults have the same outcomes on {BOARD}")

# %% [markdown]
# ## 2. The size of a sample
#
# For a rate that is estimated from $n$ of $N$ faults drawn without replacement, the sample size usually cited is
#
# $$n = \frac{N}{1 + e^2\,\dfrac{N - 1}{t^2\,p\,(1 - p)}}$$
#
# with $e$ the margin of error (half the width of the interval), $t$ the quantile of the normal distribution (1.96 for
# 95%, 2.576 for 99%), and $p$ the rate one expects; 0.5 is the worst case. (Leveugle et al., DATE 2009.)
#
# **Task 4.1.** Write it, rounded up to a whole number of faults.


# %% tags=["task-4.1"]
def sample_size(N, e, t, p=0.5):
    n = ...
    return n


check("4.1", sample_size)

# %% [markdown]
# A published table states that it injects "10%" of the faults of a 16-bit array of 28 x 28 PEs and "19%" of an 8-bit
# one, and names $e$ = 1% and a confidence of 99% elsewhere.
#
# **Task 4.2.** (a) Which percentage of the faults would $e = 1\%$ and 99% ask for with 8 bits, that is, $N =
# 12{,}544$? (b) Both published percentages are met by *one constant number of faults*, 2,401 of $N = 25{,}088$ and of
# $N = 12{,}544$. For an endless $N$, at 95% and with $p = 0.5$, for which margin $e$ is that number the sample size?
# Two numbers, in percent.

# %% tags=["task-4.2"]
percent_needed = ...
margin_met = ...

check("4.2", [percent_needed, margin_met])

# %% [markdown]
# Neither percentage is wrong. But a reader who sees "19%, with 1% at 99%" takes home an interval that is less than
# half as wide as the one that the sample supports at 99%.
#
# ## 3. What "n pairs" hides
#
# A campaign of 60 faults on 40 images has 2,400 pairs (image, fault). Is it a sample of 2,400? Take Wilson's interval
# for a rate $\hat p$ from $n$ independent trials, with $z$ the quantile that part 2 calls $t$:
#
# $$\frac{\hat p + \frac{z^2}{2n} \pm z \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4 n^2}}}{1 + \frac{z^2}{n}}$$
#
# **Task 4.3.** Write it; return the two ends.


# %% tags=["task-4.3"]
def wilson(p, n, z=1.96):
    low, high = ..., ...
    return low, high


check("4.3", wilson)

# %% [markdown]
# To go on without your function, here is one made by the package. We draw 60 faults, two thousand times, and count
# how often the interval around the sample's rate holds the true one. An honest 95% interval does in about 95% of the
# campaigns.

# %%
from axft_host.campaign.effective import wilson_interval

made = wilson_interval(0.1, 60, 0.95)
print(f"10% of 60: {made.low:.4f} to {made.high:.4f}")

# %%
DRAWN, CAMPAIGNS = 60, 2000
draw = np.random.default_rng(4)
samples = np.array([draw.choice(share["critical"], DRAWN, replace=False) for _ in range(CAMPAIGNS)])


def coverage(counts):
    """Share of the campaigns whose Wilson interval, made for so many trials each, holds the true rate."""
    rates = samples.mean(axis=1)
    each = zip(rates, np.broadcast_to(counts, CAMPAIGNS), strict=True)
    intervals = [wilson_interval(rate, count, 0.95) for rate, count in each]
    return np.mean([made.low <= true_rate <= made.high for made in intervals])


print(f"n = pairs  ({DRAWN * IMAGES:,}): holds in {coverage(DRAWN * IMAGES):.1%} of the campaigns")
print(f"n = faults ({DRAWN:,}):    holds in {coverage(DRAWN):.1%}")

# %%
fig, grid = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True, sharex=True)
for axes, count, name in zip(grid, (DRAWN * IMAGES, DRAWN), ("pairs", "faults"), strict=True):
    for place, sample in enumerate(samples[:40]):
        made = wilson_interval(sample.mean(), count, 0.95)
        holds = made.low <= true_rate <= made.high
        line, mark, colour = ("-", "o", "#1f6f8b") if holds else (":", "x", "#a4133c")
        axes.plot([100 * made.low, 100 * made.high], [place] * 2, line, color=colour)
        axes.plot(100 * made.rate, place, mark, color=colour, markersize=4)
    axes.axvline(100 * true_rate, color="black", linewidth=1, label="true rate")
    axes.set(xlabel="critical rate, %", title=f"n = number of {name}")
grid[0].set_ylabel("campaign")
grid[0].legend(frameon=False, loc="upper right")
lab.picture(
    fig, "Forty campaigns with intervals: those made of pairs mostly miss the true rate, those of faults hold it."
)

# %% [markdown]
# Dotted red intervals with a cross miss the truth. Counting pairs is not slightly optimistic: most of its "95%
# intervals" are wrong. Counting faults is safe, and here too careful, as the images of a fault tell *something* more
# than one image would.
#
# How much more is the *design effect*: by what factor the variance of the estimated rate is larger than if all pairs
# were independent. With shares $x_i$ of $m$ images each,
#
# $$\text{deff} = \frac{\operatorname{var}(x_i)}{p\,(1 - p) / m}, \qquad
# n_{\text{eff}} = \frac{\text{pairs}}{\text{deff}}.$$
#
# 1 means that images are as good as independent, $m$ that all images of a fault do the same.
#
# **Task 4.4.** The design effect (a) of the critical shares and (b) of the masked shares of the whole population,
# with `np.var` as it is. And (c): how many effective trials does a campaign of 60 faults x 40 images have, for the
# critical rate? Do not round (a) and (b).

# %% tags=["task-4.4"]
deff_critical = ...
deff_masked = ...
effective_trials = ...

check("4.4", [deff_critical, deff_masked, effective_trials], share=share)

# %%
rates, spreads = samples.mean(axis=1), samples.var(axis=1, ddof=1)
usable = (rates > 0) & (spreads > 0)
own = np.where(usable, np.divide(rates * (1 - rates), spreads, where=usable, out=np.ones(CAMPAIGNS)) * DRAWN, DRAWN)
print(f"n = effective trials, each campaign's own estimate: holds in {coverage(own):.1%} of the campaigns")

# %% [markdown]
# The remedy for a wide interval is more *faults*. More images sharpen what is known of each fault, and of nothing
# else.
#
# ## 4. Nothing found; and what is certain
#
# 60 faults, not one critical. The exact (Clopper-Pearson) two-sided 95% interval then ends at
#
# $$1 - 0.025^{1/n}$$
#
# which is 6% for 60 faults. With 2,400 pairs in place of $n$ it would claim 0.15%.
#
# **Task 4.5.** How many faults without a single critical outcome does it take until this bound is *below* 1%? A whole
# number.

# %% tags=["task-4.5"]
faults_needed = ...

check("4.5", faults_needed)

# %% [markdown]
# Part of the population need not be sampled at all. Bits that 34P ignores, and PEs that no layer uses, are masked
# *with certainty*; they are marked in the table.

# %%
certain = faults["certain"].to_numpy() == 1
print(f"{certain.sum()} of {N} faults are masked with certainty")
uncertain_sample = np.random.default_rng(5).choice(share["critical"][~certain], DRAWN, replace=False)
print(f"critical rate of a sample of {DRAWN} of the others: {uncertain_sample.mean():.2%}")

# %% [markdown]
# **Task 4.6.** From this sample of the uncertain faults: (a) what is the estimate of the critical rate of *all*
# faults? (b) How wide is its interval, as a fraction of the width of that of the uncertain faults' rate? Two fractions.

# %% tags=["task-4.6"]
estimated_rate = ...
narrower = ...  # such as 0.9 for nine tenths of the width

check("4.6", [estimated_rate, narrower], sample=uncertain_sample, certain=certain)

# %% [markdown]
# ## 5. Looking too often
#
# You run a campaign and look at the interval after every 10 faults. As soon as it excludes a value that you have
# doubted all along, you stop and publish. What if that value was the true one?
#
# Below: 1,000 campaigns of up to 500 faults, with looks after 100, 110, ... 500. For each look, the ends of the usual
# interval with the fault as the unit, the mean of the shares and 1.96 standard errors on either side. From 100 faults
# on it holds nearly as often as it says, *at one look*.

# %%
LOOKS = np.arange(100, 501, 10)
draw = np.random.default_rng(6)
orders = np.array([draw.permutation(share["critical"])[: LOOKS[-1]] for _ in range(1000)])
counts = np.arange(1, LOOKS[-1] + 1)
means = (np.cumsum(orders, axis=1) / counts)[:, LOOKS - 1]
squares = (np.cumsum(orders**2, axis=1) / counts)[:, LOOKS - 1]
spread = np.sqrt(np.maximum(squares - means**2, 0.0) / (LOOKS - 1) * (1 - LOOKS / N))
lows, highs = means - 1.96 * spread, means + 1.96 * spread
print("shape (campaigns, looks):", lows.shape)

# %% [markdown]
# **Task 4.7.** In what share of the campaigns does the interval exclude `true_rate` (a) at the last look, and (b) at
# *any* look, that is, at least one? Two fractions.

# %% tags=["task-4.7"]
wrong_at_the_end = ...
wrong_at_any_look = ...

check("4.7", [wrong_at_the_end, wrong_at_any_look], lows=lows, highs=highs, truth=true_rate)

# %% [markdown]
# Whoever looks often enough finds what he looks for. There are two honest ways out: fix the number of faults, or of
# looks, *before* the campaign; or use an interval that holds at **all times together**. Such a *confidence sequence*
# is the default of this toolkit: somebody who doubts a rate bets against it before every fault, at odds that are fair
# if it is true, and a rate is ruled out once he has grown rich enough. (Waudby-Smith and Ramdas, JRSS-B 2024.)

# %%
from axft_host.campaign.confidence import confidence_sequence

sequences = [confidence_sequence(order, N, int(LOOKS[-1]), 0.95, at=LOOKS) for order in orders[:200]]
bet_lows, bet_highs = (np.array(ends) for ends in zip(*sequences, strict=True))
excluded = (bet_lows > true_rate) | (true_rate > bet_highs)
print(f"betting: excludes the true rate at any look in {excluded.any(axis=1).mean():.1%} of the first 200 campaigns")

# %%
usual_excluded = (lows > true_rate) | (true_rate > highs)
shown = int(np.argmax(usual_excluded[:200].any(axis=1)))
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
left.fill_between(LOOKS, 100 * bet_lows[shown], 100 * bet_highs[shown], color="#c9d6df", label="betting")
for ends, label in ((lows, "usual"), (highs, None)):
    left.plot(LOOKS, 100 * ends[shown], "--", color="#a4133c", label=label)
left.plot(LOOKS, 100 * means[shown], color="#1f6f8b", label="rate so far")
left.axhline(100 * true_rate, color="black", linewidth=1, label="true rate")
left.set(xlabel="faults so far", ylabel="critical rate, %", title="One campaign, looked at again and again")
left.legend(frameon=False, ncols=2, fontsize=9)
for wrong, style, colour, label in (
    (usual_excluded, "--", "#a4133c", "usual, at any look so far"),
    (excluded, "-", "#1f6f8b", "betting, at any look so far"),
):
    ever = np.maximum.accumulate(wrong, axis=1).mean(axis=0)
    right.plot(LOOKS, 100 * ever, style, color=colour, label=label)
right.plot(LOOKS, 100 * usual_excluded.mean(axis=0), ":", color="#a4133c", label="usual, at this look alone")
right.axhline(5, color="black", linewidth=0.8, label="5%, as a 95% interval allows")
right.set(xlabel="faults so far", ylabel="campaigns, %", title="The true rate is excluded", ylim=(0, None))
right.legend(frameon=False, fontsize=9)
lab.picture(
    fig, "Left, one campaign with both intervals; right, how often the true rate is excluded, growing with the looks."
)

# %% [markdown]
# The campaign on the left was not drawn at random: it is the first in which the usual interval goes wrong. The grey
# band is wider: that is the price of being allowed to look. It never grows again, for what has once been ruled out
# stays so; that is why one of its ends may lie inside the usual interval at times. (On the right, 200
# campaigns for betting and all 1,000 for the usual interval.)
# With such a band, a campaign may stop as soon as it is narrow enough. This one looks after every 50 faults, and stops
# when the interval of the critical share alone is at most 14 points wide, a half-width of 7. (Its ends need not lie
# equally far from the rate.)

# %%
campaign = axft.Campaign(
    title="stop at 7 points",
    workload={"configs": ["34P"], "array": "8x8", "images": IMAGES},
    sampling={"faults": 500},
    stopping={"rule": "half-width", "half_width": 0.07, "classes": ["critical"]},
).run(results / "stopped", workers=1, progress=False)
(stopped,) = campaign.results.values()
print(f"stopped after {len(stopped.frame)} of 500 faults")
stopped.rates

# %% [markdown]
# These rates are not plain means of what was drawn: faults that are masked with certainty are counted, as in task
# 4.6, and so `masked` cannot lie below their share. The column `paper` is what was published for 34P on an array of
# 28 x 28 PEs; this one is smaller, so that the two are not to be compared here. Lab 5 is about that table.
#
# ## 6. What may you conclude?
#
# **Task 4.8.** Which of these statements follow from what you have seen? Give their letters.
#
# * **a.** "Our campaign has 2.4 million fault injections" says how precise its rates are.
# * **b.** To halve the width of the interval for the critical rate, four times the *faults* are needed, roughly; four
#   times the *images* need not help at all.
# * **c.** The interval of a campaign with these 40 images says how the critical rate is on other images.
# * **d.** That no critical outcome was seen under 60 faults is compatible with a critical rate of 5%.
# * **e.** A campaign that is interrupted because the power fails may use the usual interval as if so many faults had
#   been planned.
# * **f.** A campaign that is stopped because its result looks good may do that, too.

# %% tags=["task-4.8"]
follow = ...

check("4.8", follow)

# %% [markdown]
# **For discussion** (no check). Two multipliers are compared on 2,401 faults each: 2.8% and 12.3% critical. What must
# be known about the faults, the images and the intervals before the difference is a property of the multipliers? Lab
# 5 has the table.
#
# ## Further reading
#
# * R. Leveugle, A. Calvez, P. Maistri, P. Vanhauwaert, "Statistical fault injection: quantified error and
#   confidence", DATE 2009.
# * C. Clopper, E. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
#   Biometrika 26, 1934.
# * I. Waudby-Smith, A. Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal
#   Statistical Society B 86, 2024.
# * `docs/concepts/statistics.md`: which interval this toolkit states, its assumptions, and how often it held in
#   simulations.

# %%
lab.summary()

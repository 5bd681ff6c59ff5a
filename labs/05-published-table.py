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
# # Lab 5: A published table
#
# **The question.** Seven rows, six columns, two digits after the point: what does a table of fault-injection results
# say? Which of its numbers can be had again, which follow from something that it does not state, and which are
# impossible?
#
# **You will be able to**
#
# * check a table against itself and against what its own text implies, before running anything;
# * reproduce it, and find the choices that its text leaves open;
# * measure which of these choices matters, on the same faults, with intervals;
# * write down what somebody else needs in order to get *your* numbers again.
#
# **Before you start** you should have done labs 2 (multipliers), 3 (outcomes) and 4 (samples and intervals).
#
# **Time:** 80 minutes.
#
# | part | | minutes |
# |---|---|---|
# | 1 | the table against itself | 15 |
# | 2 | columns that can be had from the text | 20 |
# | 3 | a bound that needs no run | 10 |
# | 4 | readings | 20 |
# | 5 | what may you conclude? your own methods section | 15 |
#
# Tasks hold three dots, `...`, where your answer goes. Each ends with a check that says what is wrong with an answer.

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

lab = start("5", board=BOARD, written_for="0.1.0")
check = lab.check

# %%
import tempfile
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd

import axft
from axft_host.labs import drawings
from axft_host.labs.lab5 import CLASSES, METHODS, difference, printed_table

printed = printed_table()
printed

# %% [markdown]
# This is the table of a study on approximate fault-tolerant neural-network systems (ETS 2024), as printed; in
# percent, but for the width in bits. LeNet-5 recognises digits of MNIST on an output-stationary array of 28 x 28 PEs,
# with 16 or 8 bits and with exact multipliers or approximate ones of EvoApproxLib. *Injected*: the share of all
# faults that were. The last three columns: what became of them.
#
# What its text says about the experiment: it speaks of "transient faults (single bit-flip)" and of "forcing its value
# to 1 or 0"; the fault space has two polarities, every bit of a weight, every PE; the sample has a margin of error of
# 1 % at a confidence of 99 %; an outcome is *masked* if the output vector is the same with and without the fault,
# *tolerable* if the class is the same and its probability at least 95 % of what it was, *critical* otherwise. The
# network has "three convolutional and four fully connected" layers. Not stated: whether a fault on a weight reaches
# the PEs below; how a convolution became matrix products; how weights were rounded; which operand of the multiplier
# is the weight.
#
# It is a good table for this lab *because* so much can be checked. Most tables in the field say less.
#
# ## 1. The table against itself
#
# **Task 5.1.** Masked, tolerable and critical exclude each other, and there is nothing else. In which rows do the
# three printed shares not sum to 100, by more than their rounding explains? (Each is rounded to two digits.)

# %% tags=["task-5.1"]
rows_that_do_not_sum = ...  # such as {"8P"}

check("5.1", rows_that_do_not_sum)

# %% [markdown]
# Two rows print the same tolerable share to the last digit. Find them. That may be chance: if 21 shares fell anywhere
# between 0 and 100, two of them would be equal in one table of fifty. From a table one cannot tell; one can only ask.
#
# ## 2. Columns that can be had from the text
#
# **Energy.** Suppose 8 bits instead of 16 halve the energy of a PE, and a share $s$ of a PE's energy goes into its
# multiplier. With $P$ the power of an approximate part and $P_0$ that of the exact one, the array saves
#
# $$1 - \tfrac12 \left(1 - s \left(1 - \tfrac{P}{P_0}\right)\right)$$
#
# The library publishes $P$ of every part. There is one unknown, and there are five rows to find it in.

# %%
power = axft.multipliers()["power_mw"]
rows = [name for name in printed.index if name in power.index]
pd.DataFrame(
    {"P, mW": power[rows], "P / P0": power[rows] / power["2PP"], "printed, %": printed["energy reduction"][rows]}
)


# %%
def saved(share):
    """Return the column as the formula has it for a share s, in percent."""
    return (100 * (1 - 0.5 * (1 - share * (1 - power[rows] / power["2PP"])))).round(2)


pd.DataFrame({"printed": printed["energy reduction"][rows], "s = 0.5": saved(0.5)})

# %% [markdown]
# **Task 5.2.** Half is far too much. Which $s$ fits the column? A fraction, to two digits.

# %% tags=["task-5.2"]
s = ...

check("5.2", s)

# %% [markdown]
# One number explains five, to a tenth of a point. This is how a formula that is *not* in the text can be guessed, and
# it is a guess: say so when you use it. And note what it says about the column: energy of everything but the
# multiplier is taken to be the same in all rows, although narrower sums would need less.
#
# **Sample size.** How many faults $n$ out of $N$ give a margin $e$ (lab 4):
#
# $$n = \frac{N}{1 + e^2 \frac{N-1}{t^2 p (1-p)}}$$
#
# **Task 5.3.** What should $n$ be in the row *Baseline* (16 bits), and in the other six (8 bits), by the margin and
# the confidence of the text? $t = 2.576$, $p = 1/2$.

# %% tags=["task-5.3"]
sizes_by_the_text = ...  # two numbers: Baseline, then the others

check("5.3", sizes_by_the_text)

# %%
spaces = np.array([2 * 16 * 28 * 28, 2 * 8 * 28 * 28])
print("faults in the space:        ", spaces)
print("10 % and 19 % of it, printed:", (spaces * [0.10, 0.19]).round().astype(int))
print("2,401 of it:                ", (100 * 2401 / spaces).round(2), "%")

# %% [markdown]
# So the printed shares are not what the text asks for. But one number, 2,401, gives both of them, rounded.
#
# **Task 5.4.** 2,401 is the sample size of an *infinite* space, at 95 % ($t = 1.96$), for which margin? In percent.

# %% tags=["task-5.4"]
margin = ...

check("5.4", margin)

# %% [markdown]
# You have just corrected a statement of the text by its own table. Now put it to use: with 2,401 faults every printed
# share is known to two points or so. The difference of the critical shares of 8P and 34P is 9.5 points. **Whatever
# explains it, it is not the luck of the draw.**
#
# ## 3. A bound that needs no run
#
# The parts clear the low `omit_a` bits of operand A, and the low `omit_b` bits of operand B (lab 2). A fault at a bit
# that is cleared cannot change anything: it is masked, on every image, for every network.
#
# **Task 5.5.** Let the weight be operand A. Which share of each row's fault space is masked for this reason alone?
# Seven numbers in percent, in the order of the table. (Weights have 8 bits, or 16, and stand at the low end of the
# part's operand, sign-extended.)

# %%
axft.multipliers().loc[rows, ["omit_a", "omit_b", "vbreak"]]

# %% tags=["task-5.5"]
masked_at_least = ...

check("5.5", masked_at_least)

# %% [markdown]
# **Task 5.6.** Compare with the printed masked shares. Which row prints less than is possible?

# %% tags=["task-5.6"]
impossible_row = ...

check("5.6", impossible_row)

# %% [markdown]
# Three ways out of it: the weight is not operand A in that row; the faults are not at the bits of the weight as the
# part sees them; or the row is not what the experiment gave. Try the first:

# %%
FAULTS, IMAGES = lab.pick(200, 8), lab.pick(20, 2)  # more faults: narrower intervals, and more time
OUT, RUNS = Path(tempfile.mkdtemp(prefix="axft-lab-5-")), count(1)  # where results go


def inject(config, lowering="toeplitz", rounding="paper", operand_a="weight", **how):
    """Run a campaign. What is not said is as the public tool behind the study does it."""
    made = axft.Config(config, lowering=lowering, rounding=rounding, operand_a=operand_a)
    options = {"faults": FAULTS, "images": IMAGES, "seed": 0, "workers": 1, "progress": False} | how
    try:
        return axft.inject(made, out=OUT / f"{next(RUNS)}", **options, **lab.where)
    except axft.AxftError as error:  # a board has the multiplier and the fault sites that its bitstream was built with
        if lab.on_emulator:
            raise
        print(f"{config}, {how}: on the emulator, since board {lab.board} says: {str(error).splitlines()[0]}")
        return axft.inject(made, out=OUT / f"{next(RUNS)}", **options)


pd.concat({name: 100 * inject("2TE", operand_a=name).rates for name in ("weight", "activation")}, names=["operand A"])

# %% [markdown]
# With the activation as operand A the part clears six of *its* eight bits. A weight's bits all count then, but only
# bright pixels get through the first layer, and nothing through the third: the network gives one answer whatever it
# sees, and no fault that was drawn changes that. Neither reading comes near the printed row, which is at the other end.
#
# ## 4. Readings
#
# Each choice that a text leaves open makes a *reading* of it. Start from one (the public tool's: Toeplitz lowering,
# weights floored by the part, the fault travels down its column, class probabilities compared), and change one thing
# at a time.
#
# | reading | what is different |
# |---|---|
# | base | |
# | other sample | the seed of the draw |
# | one multiplier | the fault acts on the multiplier of one PE; the PEs below get the right weight |
# | raw outputs | the ratio of 95 % is that of the largest raw output, not of the largest class probability |
# | both | these two together |
# | im2col | the usual lowering of a convolution, instead of one channel at a time |
# | weights rounded | weights are rounded to what the part keeps, instead of being cut off by it (lab 2) |
#
# **Before you run it**: which of them will move the masked share most? Which cannot move it at all? Write it down.

# %%
READINGS = {
    "base": {},
    "other sample": {"seed": 1},
    "one multiplier": {"site": "weight_operand"},
    "raw outputs": {"score": "raw"},
    "both": {"site": "weight_operand", "score": "raw"},
    "im2col": {"lowering": "im2col"},
    "weights rounded": {"rounding": "multiplier"},
}
results = {(config, name): inject(config, **how) for config in ("8P", "34P") for name, how in READINGS.items()}

# %%
table = pd.concat({key: 100 * result.rates for key, result in results.items()}, names=["config", "reading"])
table = table.reset_index()
drawings.readings(table, printed[list(CLASSES)].to_dict("index"), CLASSES)

# %% [markdown]
# Points are rates, with 95 % intervals that hold for the three classes together and have the fault as unit; the
# dashed line is what is printed. Compare the widths of the intervals with the distances between the readings.
#
# **Task 5.7.** Which choice moves the masked share of 8P most, away from the base?

# %% tags=["task-5.7"]
moves_most = ...  # the name of a reading

check("5.7", moves_most, table=table)

# %% [markdown]
# The text's strongest claim is about the last column: *34P has fewer critical faults than 8P* (2.83 % against 12.34
# %), an approximate multiplier that makes the network more robust. In each reading, both configurations met the same
# faults and the same images. So the difference is taken fault by fault, and its interval is that of the mean of these
# differences.

# %%
differences = pd.DataFrame({name: difference(results["34P", name], results["8P", name]) for name in READINGS}).T
drawings.intervals(differences, "critical share of 34P less that of 8P, points (dashed: printed)", printed=2.83 - 12.34)

# %% [markdown]
# **Task 5.8.** The printed difference is 2.83 - 12.34 = -9.51 points. In which readings does the 95 % interval of the
# difference hold it? Give a set of their names.

# %% tags=["task-5.8"]
readings_that_allow_the_claim = ...

check("5.8", readings_that_allow_the_claim, differences=differences)

# %% [markdown]
# Look at the row *weights rounded*: the difference between the two configurations depends on how the weights were
# quantised at least as much as on the multiplier. A sentence such as "approximate multipliers are more robust" would
# have to say which multiplier, *and* which quantisation, and what was compared.
#
# The whole table is `fi_campaigns/table1.toml`: seven rows, both lowerings and both sample sizes on 1,400 images, 195
# million pairs. That took an hour on two cores in numpy, and some minutes with the compiled engine, which needs numba
# (12 with its first version). `fi_campaigns/table1-full.toml` is the same on all 10,000 test images, 1,393 million
# pairs, and took 26 minutes with that engine. `axft-hw campaign check FILE` estimates either on your machine. What came
# of them is in `docs/concepts/published-table.md`. Read it after the next task.
#
# ## 5. What may you conclude?
#
# **Task 5.9.** Which of these hold?
#
# * **a.** No reading that was tried gives the printed rows. So the printed numbers are wrong.
# * **b.** If the base reading is what was done, drawing more faults would not bring the printed masked share of 8P
#   into reach.
# * **c.** Faults times images are pairs, and the intervals above are those of a sample of that many.
# * **d.** With the weight as operand A, the printed masked share of 2TE cannot come from stuck-at bits of weights,
#   whatever the network and the images.
# * **e.** The printed accuracy of 2TE, 9.8 %, shows that this multiplier is useless for this network.
# * **f.** In every reading that was tried, more faults are masked with 34P than with 8P.

# %% tags=["task-5.9"]
statements_that_hold = ...

check("5.9", statements_that_hold)

# %% [markdown]
# **Task 5.10.** Now you publish. State for the result below what a reader needs to get your numbers again. `METHODS`
# says what each entry means. (You know all of them: from the cells above, or from what the result says of itself.)

# %%
mine = results["34P", "im2col"]
mine

# %%
pd.Series(METHODS, name="what is meant").to_frame()

# %% tags=["task-5.10"]
methods = dict.fromkeys(METHODS, ...)
# methods["configuration"] = "34P", and so on

check("5.10", methods, result=mine)

# %% [markdown]
# Seventeen entries, and each of them moves a number or its interval. The result itself carries all of this, with
# digests of the network and of the images, and the versions of what computed it: `mine.summary().provenance`.
#
# **For discussion** (no check)
#
# 1. A reviewer has ten minutes for a table of this kind. Which three questions should be asked first? Order them by
#    how much the answer could move the shares, with the figures above as evidence.
# 2. All readings here were tried by us, after seeing the printed numbers. If one in twenty had matched by chance,
#    what would that have shown? What would you do to make a match convincing?
# 3. The study's network is not public; ours is another LeNet-5. Which of today's conclusions depend on the network,
#    and which do not?
#
# ## Further reading
#
# * `docs/concepts/published-table.md`: the whole table, run again; what reproduces and what does not.
# * R. Leveugle, A. Calvez, P. Maistri, P. Vanhauwaert, "Statistical fault injection: quantified error and
#   confidence", DATE 2009: the formula of part 2.
# * `docs/concepts/statistics.md`: the intervals, and the comparison on the same faults.
# * `docs/reference/semantics.md`, "Where this differs from the study".

# %%
lab.summary()

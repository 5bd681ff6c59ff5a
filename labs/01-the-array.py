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
# # Lab 1: The array, cycle by cycle
#
# **The question.** A systolic array multiplies matrices by letting numbers march through a grid of small processors.
# Which number is where, and when? Whoever can answer that can say, before anything is run, which results a defect at
# one place can reach, and which it never can.
#
# **You will be able to**
#
# * say for every processing element (PE) and every clock cycle which two operands it multiplies;
# * compute how long a tile takes, and how much of the array works meanwhile;
# * predict which outputs a fault can change from where it is, and check the prediction by experiment;
# * tell which PEs of an array a given network never uses.
#
# **Before you start** you should know matrix multiplication, two's complement numbers, and what a register does at a
# clock edge. Python: arrays of numpy, functions.
#
# **Time:** 60 minutes.
#
# | part | | minutes |
# |---|---|---|
# | 1 | one tile, watched | 15 |
# | 2 | how long, and how busy | 15 |
# | 3 | what a fault can reach | 20 |
# | 4 | what may you conclude? | 10 |
#
# Tasks hold three dots, `...`, where your answer goes. Each ends with a check that says what is wrong with an answer.
# Nothing is lost by a wrong one: change it and run the cell again.

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

lab = start("1", board=BOARD, written_for="0.1.0")
check = lab.check

# %%
import matplotlib.pyplot as plt
import numpy as np

import axft

# %% [markdown]
# ## 1. One tile, watched
#
# The array is *output-stationary*: PE($r, c$) owns output $(r, c)$ and keeps its partial sum (`psum`) until it is
# complete. The operands move. **Activations** enter from the west, row by row, and flow east; **weights** enter from
# the north, column by column, and flow south. Every cycle, a PE that holds one of each multiplies them, adds the
# product to its sum, and hands both on.
#
# $$\text{psum}(r, c) \;=\; \sum_{k=0}^{K-1} A(r, k)\; W(k, c)$$
#
# For the right pairs to meet, row $r$ starts $r$ cycles late and column $c$ starts $c$ cycles late. That is the
# *skew*.
#
# Below, a $3 \times 4$ matrix is multiplied by a $4 \times 3$ one on a $3 \times 3$ array; $K = 4$. Move the slider,
# and follow the 7 in the top left corner of the weights on its way down. (Without JavaScript, `run.at(t)` shows
# cycle `t` as a table.)

# %%
array = axft.Config("8P", array="3x3")  # 8-bit operands, exact multipliers
A = np.array([[1, 2, 3, 4], [10, 20, 30, 40], [5, 6, 7, 8]])
W = np.array([[7, 1, 2], [0, 3, 1], [2, 2, 0], [1, 0, 5]])
run = axft.trace(array, A, W)
run

# %% [markdown]
# In each PE: the activation (→), the weight (↓), and the partial sum *after* the cycle (Σ). Cycles are numbered from
# 0. In cycle 0 one PE works; the wave then spreads along diagonals. Cycle 1 as a table:

# %%
run.at(1)

# %% [markdown]
# **Task 1.1.** Which PEs accumulate in cycle 3? Give a $3 \times 3$ array of zeros and ones, a one where a PE holds
# *both* operands. Try to write it down from the skew alone, before you look at the slider.

# %% tags=["task-1.1"]
busy_in_cycle_3 = ...  # such as [[1, 0, 0], [0, 0, 0], [0, 0, 0]]

check("1.1", busy_in_cycle_3)

# %% [markdown]
# **Task 1.2.** Write the rule as a function: the step $k$ that PE($r, c$) does in cycle $t$, that is, the $k$ of the
# $A(r, k)$ and $W(k, c)$ that it holds; and $-1$ if it does none, because the operands are not there yet or have
# passed.


# %% tags=["task-1.2"]
def step(t, r, c, K):
    k = ...
    return k


check("1.2", step)

# %% [markdown]
# ## 2. How long, and how busy
#
# **Task 1.3.** How many cycles does a tile take, from the first in which any PE accumulates to the last, on $R \times
# C$ PEs with sums of $K$ products? (Think of the last PE that starts.) This array always takes as many cycles as its
# *own* $R$ and $C$ ask for, also if the tile fills only a part of it.


# %% tags=["task-1.3"]
def tile_cycles(K, R, C):
    cycles = ...
    return cycles


check("1.3", tile_cycles)

# %% [markdown]
# The *fill* and *drain* of the wave are the price of moving operands only between neighbours. How much does it
# matter?


# %%
def busy_per_cycle(K, side):
    """Share of the PEs that accumulate, for each cycle of a full tile."""
    rows, cols = np.indices((side, side))
    cycles = np.arange(K + 2 * side - 2)[:, None, None]
    steps = cycles - rows - cols
    return ((steps >= 0) & (steps < K)).mean(axis=(1, 2))


fig, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
for K, style in ((16, ":"), (28, "--"), (160, "-")):
    axes.plot(100 * busy_per_cycle(K, 28), style, color="#1f6f8b", label=f"K = {K}")
axes.set(xlabel="cycle of the tile", ylabel="PEs that accumulate, %", title="A full tile on 28 x 28 PEs", ylim=(0, 105))
axes.legend(frameon=False)
lab.picture(fig, "Share of busy PEs over the cycles of a tile: K = 16 peaks at about a half, K = 160 stays at 100%.")

# %% [markdown]
# A line that never reaches 100% means that the first PE has finished before the last has begun.
#
# **Task 1.4.** The *utilisation* of a tile is the number of multiplications it needs, divided by (PEs x cycles).
# Write it for a tile with $m \times n$ outputs, which need not fill the array.


# %% tags=["task-1.4"]
def utilisation(m, n, K, R, C):
    share = ...
    return share


check("1.4", utilisation)

# %% [markdown]
# Now a real network. LeNet-5 has two convolutions and three dense layers; each becomes matrix products, by one of two
# *lowerings*:
#
# * `im2col`: a convolution is one product; rows are output *pixels*, columns are output *channels*;
# * `toeplitz`: a convolution is one product for every pair of channels; rows and columns are output *rows and
#   columns*.
#
# `busy` below is the utilisation over all tiles of the layer.

# %%
schedules = {name: axft.schedule(axft.Config("8P", lowering=name)) for name in ("im2col", "toeplitz")}
schedules["im2col"]

# %%
fig, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
for offset, (name, table), colour, hatch in zip(
    (-0.2, 0.2), schedules.items(), ("#1f6f8b", "#e3b23c"), ("", "//"), strict=True
):
    bars = axes.bar(
        table["layer"] + offset,
        100 * table["busy"],
        width=0.4,
        label=name,
        color=colour,
        hatch=hatch,
        edgecolor="white",
    )
    axes.bar_label(bars, fmt="%.1f", fontsize=8)
axes.set_xticks(table["layer"], table["name"])
axes.set(xlabel="layer", ylabel="utilisation, %", title="LeNet-5 on 28 x 28 PEs", ylim=(0, 85))
axes.legend(frameon=False)
told = "; ".join(
    f"{name}: {', '.join(f'{100 * busy:.1f}%' for busy in table['busy'])}" for name, table in schedules.items()
)
lab.picture(fig, f"Utilisation of the five layers. {told}.")

# %% [markdown]
# **Task 1.5.** Under `im2col`, how many of the 784 PEs are used by *any* layer of this network, for any image? (`m`
# and `n` of the table say which rows and columns a layer reaches. A product larger than the array is cut into tiles,
# and partial tiles sit in the north-west corner.)

# %% tags=["task-1.5"]
pes_ever_used = ...

check("1.5", pes_ever_used)

# %% [markdown]
# A defect in any of the other PEs is *certainly masked*: not unlikely to be seen, but impossible to see, with this
# network on this array under this lowering. Keep that number; labs 3 and 4 come back to it.
#
# ## 3. What a fault can reach
#
# A *fault site* is a place in a PE where a bit may be forced. Four of them:
#
# | site | what is forced | who sees the forced value |
# |---|---|---|
# | `weight` | what leaves the north register | this PE's multiplier, **and** the PE to the south, which hands it on |
# | `activation` | what leaves the west register | this PE's multiplier, **and** the PE to the east, which hands it on |
# | `weight_operand` | this multiplier's own copy of the weight | this PE alone |
# | `psum` | the value written back to the accumulator | this PE alone |
#
# Here is bit 6 of the weight line of PE(1, 1), stuck at 1. PEs whose sum is not the fault-free one turn red.

# %%
axft.trace(array, A, W, fault="weight:r1:c1:b6:sa1")

# %% [markdown]
# **Task 1.6.** Predict, before you try: for each of the four sites, which of the nine outputs can a permanent fault
# at **PE(1, 1)** change, whatever the operands are? A $3 \times 3$ array of zeros and ones for each.

# %% tags=["task-1.6"]
reach = {
    "weight": ...,
    "activation": ...,
    "weight_operand": ...,
    "psum": ...,
}

check("1.6", reach)

# %% [markdown]
# The experiment: many random tiles, and a count of how often each output differs from the fault-free one.


# %%
SITES = ("weight", "activation", "weight_operand", "psum")


def share_changed(site, tries=60):
    """How often each output of a random tile is changed by bit 6 of a site of PE(1, 1) stuck at 1."""
    draw = np.random.default_rng(0)
    changed = np.zeros((3, 3))
    for _ in range(tries):
        a, w = draw.integers(0, 128, (3, 4)), draw.integers(-128, 128, (4, 3))
        faulty = axft.trace(array, a, w, fault=f"{site}:r1:c1:b6:sa1")
        changed += faulty.differs[-1]
    return changed / tries


fig, grid = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
for axes, site in zip(grid, SITES, strict=True):
    shares = 100 * share_changed(site)
    picture = axes.imshow(shares, cmap="cividis", vmin=0, vmax=100)
    for (r, c), share in np.ndenumerate(shares):
        axes.text(c, r, f"{share:.0f}", ha="center", va="center", color="black" if share > 55 else "white")
    axes.set(title=site, xlabel="PE column", xticks=range(3), yticks=range(3))
grid[0].set_ylabel("PE row")
fig.colorbar(picture, ax=grid, label="tiles changed, %")
lab.picture(fig, "Four maps of 3 x 3 outputs, one for each site: the share of random tiles in which each is changed.")

# %% [markdown]
# Not every tile is changed, not even at the PE itself. A stuck-at fault is *activated* only in a step where the bit
# would have had the other value. Four random weights all have bit 6 set once in sixteen times, and then nothing
# happens at all.
#
# **Transient faults** act in a *window*: some cycles of one tile. The next one flips bit 6 of the weight line of
# PE(0, 1) in cycle 3 alone. It hits one weight, and that weight travels on.
#
# **Task 1.7.** Give three whole numbers: which step $k$ the weight that is hit belongs to; in which cycle the PE at
# (2, 1) multiplies with it; and how many outputs of the tile may be wrong in the end.

# %% tags=["task-1.7"]
hit_step = ...
cycle_at_row_2 = ...
outputs_at_risk = ...

check("1.7", [hit_step, cycle_at_row_2, outputs_at_risk])

# %%
axft.trace(array, A, W, fault="weight:r0:c1:b6:flip@l0:g0:t0:y3+1")

# %% [markdown]
# ### The same on your board
#
# What you have watched is the executable specification. The emulator, the simulated RTL and a board compute the same
# sums, but do not show cycles: a board has no time to stop after each. Here is a tile on the board that you named at
# the top, without and with the stuck-at fault. It is configured as `34P`, whose multiplier ignores the three low bits
# of both operands (lab 2 says why anyone would want that), so that the operands are multiples of 8.

# %%
from axft_spec.faults import parse_fault

on_board = axft.Config("34P", array="3x3")
a, w = np.minimum(8 * A, 120), 8 * W
for text in (None, "weight:r1:c1:b6:sa1"):
    watched = axft.trace(on_board, a, w, fault=text)
    fault = None if text is None else parse_fault(text)
    measured = lab.backend.gemm(on_board.array_config, a[None], w, fault)
    print(f"board {BOARD}, fault {text}: activated {measured.activated[0]} times")
    print(measured.psums[0], "as specified" if np.array_equal(measured.psums[0], watched.psums) else "NOT AS SPECIFIED")

# %% [markdown]
# ## 4. What may you conclude?
#
# **Task 1.8.** Which of these statements follow from what you have seen? Give their letters, as in `"ac"`.
#
# * **a.** In an output-stationary array without pipeline faults, a permanent fault at the `psum` of one PE changes at
#   most one output of every tile.
# * **b.** A stuck-at fault on the `weight` line of PE($r, c$) reaches every output of column $c$.
# * **c.** With `im2col`, dense layers use row 0 of the array alone, for one image at a time.
# * **d.** An array of 28 x 28 PEs with a defect in every PE that no layer uses gives the same results as one without
#   defects.
# * **e.** As most of the array idles under `im2col`, a network on it is more reliable than under `toeplitz`.
# * **f.** Doubling $K$ halves the share of a full tile's cycles x PEs that are idle, roughly, when $K$ is large
#   against $R + C$.

# %% tags=["task-1.8"]
follow = ...

check("1.8", follow)

# %% [markdown]
# **For discussion** (no check). A published table states that 68% of the faults injected into an accelerator were
# masked, and concludes that the network is robust. What would you ask about the array, the lowering and the network
# before you believe the conclusion? Write two or three questions, and keep them for lab 5.
#
# ## Further reading
#
# * The array of this lab is that of a study on approximate fault-tolerant neural-network systems (ETS 2024), whose
#   table is the subject of lab 5.
# * The specification in words: `docs/reference/semantics.md`, sections "Tiles and cycles" and "Faults". The model
#   that you have watched is `axft_spec/reference.py`: 200 lines, written to be read.
# * Both lowerings by index: `axft_spec/lowering.py`.

# %%
lab.summary()

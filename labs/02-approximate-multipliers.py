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
# # Lab 2: Approximate multipliers
#
# **The question.** A multiplier that leaves out some of its work saves area and energy, and is sometimes wrong. A
# data sheet states how wrong. Why do two networks on the same multiplier lose nothing in one case and everything in
# the other?
#
# **You will be able to**
#
# * compute an approximate product bit by bit, and read a map of its errors;
# * compute the mean absolute error (MAE), the worst-case error (WCE) and the error probability (EP), and say what
#   they leave out;
# * separate the *bias* of an error from its *spread*, and say which of the two a long sum keeps;
# * show that how weights are *rounded* can matter more than which multiplier is built.
#
# **Before you start:** lab 1; two's complement numbers, shifts, mean and standard deviation.
#
# **Time:** 75 minutes.
#
# | part | | minutes |
# |---|---|---|
# | 1 | one product | 15 |
# | 2 | all products: maps and figures | 15 |
# | 3 | what it saves | 10 |
# | 4 | a network on it | 10 |
# | 5 | why: bias and spread | 15 |
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

lab = start("2", board=BOARD, written_for="0.1.0")
check = lab.check

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import axft

# %% [markdown]
# ## 1. One product
#
# The fourteen signed 12-bit multipliers of EvoApproxLib's Pareto sets (`mul12s_*`) are one family. Take the
# schoolbook scheme: every bit $a_i$ of one operand times every bit $b_j$ of the other gives a *partial product* of
# weight $2^{i+j}$, negative if exactly one of the two is a sign bit. An approximate part leaves some of them out:
#
# $$a \cdot b \approx \sum_{\text{kept } (i,j)} s_{ij}\, a_i b_j\, 2^{i+j}, \qquad
# \text{kept: } i \ge \mathtt{omit\_a},\; j \ge \mathtt{omit\_b},\; i + j \ge \mathtt{vbreak}$$
#
# Three numbers describe a part. 34P has `omit_a` = 3, `omit_b` = 3, `vbreak` = 0: it never looks at the three low
# bits of either operand. Here operand A is the weight and B the activation.

# %%
part = axft.multiplier("34P", width=8)
print("34P:", part.compute(9, 15), "   exact:", 9 * 15)

# %% [markdown]
# **Task 2.1.** Write 34P for whole numbers `a` and `b`. Python's `>>` on negative numbers does what two's complement
# hardware does when it drops low bits. Integer division after a conversion to float may not: try `-9`.


# %% tags=["task-2.1"]
def product_34p(a, b):
    product = ...
    return product


check("2.1", product_34p)

# %% [markdown]
# ## 2. All products: maps and figures
#
# With 8-bit operands there are only 65,536 products, so that nothing needs to be sampled. `part.errors[i, j]` is the
# approximate product less the exact one, for the operands `part.operands[i]` and `part.operands[j]`.

# %%
axft.figures.error_map(part)

# %% [markdown]
# The grid of small squares is the omission: along each line of eight values, the error grows from zero and falls
# back. The large pattern of four quadrants is what the *sign of the other operand* does to it: what is dropped from
# an operand is never negative, and it is multiplied by the other one.
#
# **Task 2.2.** Compute the three figures of a data sheet from `part.errors`: the mean absolute error, the worst-case
# error, and the error probability (the share of all pairs whose product is wrong, as a fraction).

# %% tags=["task-2.2"]
mae = ...
wce = ...
ep = ...

check("2.2", [mae, wce, ep])

# %% [markdown]
# The library publishes these figures for *12-bit* operands, because that is what the parts take. This array has 8-bit
# operands, which are sign-extended to 12 bits. Both tables are computed here, over all pairs:

# %%
mae_8 = axft.multipliers(8)["mae"]
pd.DataFrame({"MAE, 12 bits": axft.multipliers(12)["mae"], "MAE, 8 bits": mae_8})

# %% [markdown]
# The 8-bit column looks harmless. But an error must be seen beside the products it is an error of: those of 12-bit
# operands go up to $2^{22}$, those of 8-bit ones up to $2^{14}$.
#
# **Task 2.3.** By what factor is the MAE of 34P, *relative to the largest product*, larger with 8-bit operands than
# with 12-bit ones? (One decimal place is enough.)

# %% tags=["task-2.3"]
factor = ...

check("2.3", factor)

# %% [markdown]
# So a data sheet for one width says little about another: the omitted bits are the same three, and the operands have
# fewer left. What else does it leave out? MAE, WCE and EP all ignore the *sign* of the error. Here is a cut through
# the maps of three parts that omit bits of the weight: the error for activation 100, over all weights.

# %%
fig, axes = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
for name, style, colour in (("2RP", "-", "#a4133c"), ("2R5", "--", "#1f6f8b"), ("2PT", ":", "#1b2733")):
    other = axft.multiplier(name)
    axes.plot(other.operands, other.errors[:, 128 + 100], style, color=colour, label=name, linewidth=1)
axes.axhline(0, color="black", linewidth=0.5)
axes.set(xlabel="weight", ylabel="error of the product")
axes.set_title("Products with activation 100", pad=28)
axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
lab.picture(fig, "Sawtooth of the error over the weight for activation 100: never above zero; 2RP goes down to -700.")

# %% [markdown]
# After a ReLU, activations are never negative. Then every one of these errors points the same way: down. (34P omits
# bits of the activation as well. That error points up for negative weights and down for positive ones, and cancels
# over weights of both signs, nearly; what is left of the mean comes from the bits of the weight.)
#
# **Task 2.4.** What is the *mean error with its sign* of 34P, if weights are uniform over all 8-bit values and
# activations uniform over $0 \ldots 127$? (`part.operands` says which rows and columns of `part.errors` to take.)

# %% tags=["task-2.4"]
mean_error = ...

check("2.4", mean_error)

# %% [markdown]
# ## 3. What it saves
#
# The study behind this array states an energy reduction for each configuration, against a 16-bit array. Its column is
# met within 0.1 points by a formula with two assumptions: 8 instead of 16 bits halve the energy of a PE, and the
# multiplier is 19% of what is left:
#
# $$\text{reduction} = 1 - 0.5\,\bigl(1 - 0.19\,(1 - P / P_{\text{exact}})\bigr)$$
#
# where $P$ is the power of the part, as published. This formula is a *fit* made for this toolkit. The study does not
# state one.

# %%
configs = axft.configs()
fig, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
for name, row in configs.iterrows():
    if row["width"] == 8:
        x = 0.0 if row["multiplier"] == "exact" else mae_8[row["multiplier"]]
        axes.plot(x, 100 * row["energy_reduction"], "o", color="#1f6f8b")
        axes.annotate(name, (x, 100 * row["energy_reduction"]), xytext=(6, -12), textcoords="offset points")
axes.set_xscale("symlog", linthresh=10)
axes.set(
    xlabel="mean absolute error, 8-bit operands (linear below 10)",
    ylabel="energy reduction, %",
    title="What the parts save, by the fitted formula",
    ylim=(49, 57),
    xlim=(-1, 9000),
)
lab.picture(
    fig, "Energy reduction over mean absolute error: from 8P with 50% and no error to 2TE with 55.6% and 2,016."
)

# %% [markdown]
# **Task 2.5.** By this formula, what reduction (a fraction) could an 8-bit array reach at the very most, with a
# multiplier that needs no power at all?

# %% tags=["task-2.5"]
best_reduction = ...

check("2.5", best_reduction)

# %% [markdown]
# Half of it all comes from the width. That does not make multipliers unimportant, but it is the scale on which to
# read "55% less energy".
#
# ## 4. A network on it
#
# LeNet-5 on MNIST, quantised after training. A weight that the multiplier does not keep entirely can be treated in
# two ways:
#
# * `rounding="paper"`: quantise to 8 bits as for any multiplier. The part then drops low bits, which rounds *towards
#   minus infinity* (floors);
# * `rounding="multiplier"`: quantise to the nearest value that the part keeps. The part then drops only zeros.
#
# Both run on the same hardware: the difference is in how a file of weights is made. On a board, only the
# configuration of its bitstream can run; others say so.

# %%
IMAGES = lab.pick(emulator=1000, elsewhere=10)  # more images: narrower errors, more time
names = ["8P", "2QH", "2R5", "34P", "2TE"]
accuracy = {}
for name in names:
    for rounding in ("paper", "multiplier"):
        try:
            ran = axft.infer(axft.Config(name, rounding=rounding), images=IMAGES, **lab.where)
            accuracy[name, rounding] = ran.accuracy
        except axft.AxftError as error:
            print(f"{name}, {rounding}: not on this board. {error}")

# %%
fig, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
for offset, rounding, colour, hatch in ((-0.2, "paper", "#e3b23c", "//"), (0.2, "multiplier", "#1f6f8b", "")):
    shown = [100 * accuracy.get((name, rounding), np.nan) for name in names]
    label = {"paper": "floored by the part", "multiplier": "rounded to what the part keeps"}[rounding]
    bars = axes.bar(np.arange(5) + offset, shown, 0.4, color=colour, hatch=hatch, edgecolor="white", label=label)
    axes.bar_label(bars, fmt="%.1f", fontsize=8)
axes.set_xticks(range(5), names)
axes.set(xlabel="configuration", ylabel="accuracy, %", ylim=(0, 112), title=f"LeNet-5, first {IMAGES:,} images")
axes.legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1.1))
lab.picture(fig, "Accuracy of five configurations, floored and rounded. Floored 2TE is at chance, rounded 2TE is not.")

# %% [markdown]
# The collapse of 2TE is in the published table, too: 9.8%, which is chance for ten classes. With the same part and
# other weights it is not there.
#
# **Task 2.6.** Write that rounding: for an array of 8-bit weights `w`, the nearest multiple of $2^{omit}$ that still
# is an 8-bit two's complement number. Halves may go either way. (Mind the upper end: what does 127 become for `omit =
# 6`?)


# %% tags=["task-2.6"]
def round_to_kept(w, omit):
    rounded = ...
    return rounded


check("2.6", round_to_kept)

# %% [markdown]
# ## 5. Why: bias and spread
#
# Take the first dense layer, `fc1`: every output is a sum of 400 products. Weights and activations below are the
# network's own, of 100 images.

# %%
from axft_host.nn.inference import plain_gemm, run_network

exact = axft.load_network("8P")
FC1 = 2  # its number among the layers that multiply
caught = {}


def watch(layer, gemm, activations, weights):
    """Multiply as the exact network does, and keep what enters fc1."""
    if layer == FC1:
        caught["activations"], caught["weights"] = activations[:, 0, :], weights
    return multiply(layer, gemm, activations, weights)


multiply = plain_gemm(exact)
run_network(exact, exact.quantise_images(axft.load_images(images=100).images), watch)
activations, weights = caught["activations"], caught["weights"]  # (images, 400) and (400, 120)
floored = weights >> 3 << 3  # what 34P sees of weights that know nothing of it
nearest = axft.load_network("34P").multiplying_layers[FC1].weights.T  # rounded to what it keeps
print("activations", activations.shape, "weights", weights.shape)

# %% [markdown]
# **Task 2.7.** What is the mean of what each treatment changes in a weight of `fc1`: of `floored - weights`, and of
# `nearest - weights`? Guess first: three low bits are dropped, which are 0 to 7.

# %% tags=["task-2.7"]
mean_floored = ...
mean_nearest = ...

check("2.7", [mean_floored, mean_nearest])

# %% [markdown]
# Now the errors of single products, and of the sums of 400 of them. 34P drops the low bits of the activations in both
# cases.

# %%
kept = activations >> 3 << 3
errors = {}
for name, w in (("floored", floored), ("nearest", nearest)):
    of_products = kept[:20, :, None] * w - activations[:20, :, None] * weights  # 20 images: 960,000 products
    of_sums = kept @ w - activations @ weights
    errors[name] = {"product": of_products.ravel(), "sum of 400": of_sums.ravel()}

fig, grid = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
for axes, what, reach, unit in zip(grid, ("product", "sum of 400"), (800, 45), (1, 1000), strict=True):
    bins = np.linspace(-reach, reach * (1 if unit == 1 else 0.6), 61)
    for name, colour, style in (("floored", "#c77d0a", "stepfilled"), ("nearest", "#1f6f8b", "step")):
        shown = np.clip(errors[name][what] / unit, bins[0], bins[-1])
        share = np.full(shown.size, 100 / shown.size)
        look = {"alpha": 0.6} if style == "stepfilled" else {"linewidth": 1.6}
        axes.hist(shown, bins, weights=share, histtype=style, color=colour, label=name, **look)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(title=what, xlabel="error" if unit == 1 else "error, thousands")
grid[0].set(ylabel="share, % (logarithmic)", yscale="log")
grid[1].set_ylabel("share, %")
grid[0].legend(frameon=False)
lab.picture(fig, "Errors of products: two distributions hardly apart. Errors of sums: floored ones centred at -14,000.")

# %% [markdown]
# (The outermost bars on the left hold all that lies beyond.) In single products the two treatments can hardly be told
# apart. In sums they do not even overlap much. A sum of $K$ errors with mean $\mu$ and standard deviation $\sigma$,
# if they were independent, would have
#
# $$\text{mean } K \mu, \qquad \text{standard deviation } \sqrt{K}\,\sigma .$$
#
# The mean squared error is $\text{mean}^2 + \text{variance}$. Its first part is the *bias*.
#
# **Task 2.8.** For `floored`: what share of the mean squared error is bias, (a) in single products, (b) in sums? Two
# fractions, from the arrays in `errors["floored"]`.

# %% tags=["task-2.8"]
share_in_products = ...
share_in_sums = ...

check("2.8", [share_in_products, share_in_sums], errors=errors)

# %% [markdown]
# That is the whole story: a bias that is a few percent of the squared error of one product becomes nearly all of it
# in a sum, as it grows with $K$ and the spread only with $\sqrt{K}$. Rounding to the nearest removes the bias of the
# weights and leaves the spread about as it was. A data sheet has neither: MAE mixes both.
#
# A second cure needs no new weights: subtract the expected error of every output from its bias (`compensate=True`).

# %%
for compensate in (False, True):
    config = axft.Config("34P", rounding="paper", compensate=compensate)
    print(f"34P floored, compensate={compensate}: {axft.infer(config, images=1000).accuracy:.1%}")

# %% [markdown]
# ## 6. What may you conclude?
#
# **Task 2.9.** Which of these statements follow from what you have seen? Give their letters.
#
# * **a.** The published MAE of a part, for its own 12-bit operands, says which accuracy this network has on it.
# * **b.** Rounding weights to what a part keeps needs no change of hardware.
# * **c.** A table with 9.8% accuracy for 2TE shows that six bits of a weight cannot be omitted in this network.
# * **d.** By the fitted formula, no multiplier can bring this 8-bit array beyond 59.5% less energy than the 16-bit
#   one.
# * **e.** 99.3% of 1,000 images for one part and 99.2% for another show that the first is the better one.
# * **f.** Compensation in the bias removes the mean of an output's error, and not its spread.

# %% tags=["task-2.9"]
follow = ...

check("2.9", follow)

# %% [markdown]
# **For discussion** (no check). You are to choose a multiplier for a new accelerator from a library with a thousand
# parts. Which figure would you compute for each, for *your* weights and activations, before you train or run
# anything?
#
# ## Further reading
#
# * V. Mrazek et al., "EvoApprox8b", DATE 2017, and the library at <https://ehw.fit.vutbr.cz/evoapproxlib/>: where the
#   parts and their figures come from.
# * `axft_spec/multipliers.py`: the whole family in one formula. `docs/reference/semantics.md`, "Numbers": every
#   rounding of the network.

# %%
lab.summary()

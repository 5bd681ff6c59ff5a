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
# # Lab 3: One fault
#
# **The question.** A bit of one processing element is stuck. On its way to the answer of the network, the wrong value
# meets multipliers that ignore bits, activations that are zero, rounding, ReLU, pooling, and a final arg max. Where
# does a fault end, and why there?
#
# **You will be able to**
#
# * compute how often a stuck-at fault is *activated*, from the weights alone;
# * follow a fault through the layers of a network and name the mechanism that masks it;
# * classify an outcome as masked, tolerable or critical by its definition, not by its looks;
# * explain why the two polarities of the same bit can do very different things.
#
# **Before you start:** lab 1 (which PE sees which operand), and lab 2 for what 34P does with low bits.
#
# **Time:** 75 minutes.
#
# | part | | minutes |
# |---|---|---|
# | 1 | activated, or not | 15 |
# | 2 | where it is lost | 20 |
# | 3 | the two polarities of the sign | 15 |
# | 4 | the verdict | 15 |
# | 5 | what may you conclude? | 10 |

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

lab = start("3", board=BOARD, written_for="0.1.0")
check = lab.check

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import axft

CONFIG = "34P"  # 8 bits; the multiplier ignores the three low bits of both operands; 28 x 28 PEs, im2col
network = axft.load_network(CONFIG)
conv2 = network.multiplying_layers[1].weights.reshape(16, 150).T  # (k, output channel), as it streams through the array
axft.schedule(CONFIG)

# %% [markdown]
# ## 1. Activated, or not
#
# A fault has a name that says all about it: `weight:r3:c5:b6:sa1` is bit 6 of the weight line of PE(3, 5), stuck at
# 1. Rows, columns and bits are counted from 0, bit 0 is the least significant one, and weights are 8-bit two's
# complement numbers. `follow` runs a network twice, without the fault and with it, and keeps all values. What belongs
# to the run without it is called *golden*.

# %%
followed = axft.follow(CONFIG, "weight:r3:c5:b6:sa1", image=0, **lab.where)
followed

# %% [markdown]
# | column | what it counts |
# |---|---|
# | activated | steps of the faulty PE in which forcing the bit changes what its multiplier reads |
# | struck psums | sums that the fault itself changes in this layer (same operands, with it and without it) |
# | differing psums | sums that differ from the fault-free run, also because operands differ already |
# | differing values | what leaves for the next layer and differs, after rounding, ReLU and pooling |
#
# A stuck-at-1 fault, at a bit that the multiplier reads, is activated when a weight with a 0 at that bit passes. So the
# count can be predicted from the weights.
#
# **Task 3.1.** Predict the number of activations in `conv2` (layer 1). Column 5 of the array carries column 5 of
# `conv2` above, whose rows are the steps $k$. How many of its 150 weights have a 0 at bit 6? And how often does this
# column of weights pass PE(3, 5) for one image? (`m` = 100 output pixels; tiles of 28 rows.) Two numbers: weights
# with a 0, and activations.

# %% tags=["task-3.1"]
zeros_at_bit_6 = ...
activations = ...

check("3.1", [zeros_at_bit_6, activations])

# %% [markdown]
# In the dense layers, `fc1` to `fc3`, this fault is never activated, although column 5 carries weights there, too: a
# dense layer has a single row of activations, and PE(3, 5) is in row 3. The values differ all the same, because what
# comes in differs.
#
# ## 2. Where it is lost
#
# Here are three faults, with image 0. Read the columns from left to right: where does each of them end?

# %%
FAULTS = {
    "A": "weight:r3:c5:b2:sa1",
    "B": "weight:r20:c20:b7:sa1",
    "C": "weight:r27:c3:b3:sa0",
}
columns = ["name", "activated", "struck_psums", "differing_psums", "differing_values"]
paths = {letter: axft.follow(CONFIG, text, image=0, **lab.where) for letter, text in FAULTS.items()}
tables = {f"{letter}  {FAULTS[letter]}": path.layer_table[columns] for letter, path in paths.items()}
pd.concat(tables, names=["fault"])

# %% [markdown]
# All three are masked for this image, and no two for the same reason.
#
# **Task 3.2.** Why? Choose one of
#
# * `"ignored bit"`: the multiplier does not look at this bit;
# * `"idle PE"`: the PE has no valid step in any layer;
# * `"zero activation"`: the weight is wrong, and is multiplied by zero, or by what 34P takes for zero;
# * `"rounded away"`: sums are wrong, and rounding, ReLU or pooling gives the right values.
#
# Fault C is to be explained twice: what it does in `conv1`, and in `conv2`. (Row 27 of a tile of `conv1` holds the
# output pixel at the right edge of the image.)

# %% tags=["task-3.2"]
reasons = {
    "A": ...,
    "B": ...,
    "C in conv1": ...,
    "C in conv2": ...,
}

check("3.2", reasons)

# %% [markdown]
# The first two are properties of the *fault*: no image will ever show them. Such faults are *certainly masked*, and
# can be counted without running anything. The other two depend on the image.
#
# How much do rounding, ReLU and pooling remove? PE(5, 12) is a good place to see it, because it is used in `conv2`
# alone (`conv1` has 6 channels, and dense layers have row 0). Each bit of its weight line, stuck at 1, and what is
# left of it behind every stage:

# %%
IMAGES = lab.pick(emulator=10, elsewhere=2)
BITS = range(3, 8)
stages = ["sums of conv2", "after rounding, ReLU, pooling", "after fc1", "after fc2", "final sums"]
left = {}
for bit in BITS:
    path = axft.follow(CONFIG, f"weight:r5:c12:b{bit}:sa1", images=IMAGES, **lab.where)
    steps = path.layer_table
    touched = [steps.differing_psums[1], *steps.differing_values[1:]]
    there = [16 * 100 * IMAGES, *steps["values"][1:]]  # 16 channels of 100 sums
    left[bit] = np.divide(touched, there)

fig, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
for (bit, shares), style in zip(left.items(), ("o:", "s-.", "^--", "D-", "v-"), strict=True):
    axes.plot(range(5), 100 * shares, style, label=f"bit {bit}", color=plt.get_cmap("viridis")((bit - 3) / 5))
axes.set_xticks(range(5), [stage.replace("rounding, ", "rounding,\n") for stage in stages])
axes.set(title=f"Stuck at 1 on the weight line of PE(5, 12), {IMAGES} images")
axes.set(ylabel="values that differ, % (logarithmic)", yscale="log", ylim=(2, 130))
axes.set_yticks([2, 5, 10, 20, 50, 100], ["2", "5", "10", "20", "50", "100"])
axes.minorticks_off()
axes.legend(frameon=False, loc="lower right", fontsize=9)
lab.picture(
    fig,
    "Share of values that differ behind each stage: a few percent at first, most of them in the end.",
)

# %% [markdown]
# The fault begins in one channel of sixteen, and there in the 80 of 100 sums that row 5 and those below it make: 5%.
# The second point lies near the first, below it or above, although rounding and ReLU do remove a good part (task 3.3
# counts it): pooling takes the largest of four values, and one that differs can be enough. What survives spreads:
# every output of a dense layer depends on all inputs, and in the end nearly all ten sums differ. Depth does not make a
# fault fade. It may still be lost later, as ReLU and rounding come again after every layer, and 34P ignores the low
# bits of activations, too; part 4 has such faults. But mostly, once something has survived the first rounding, all
# that is left to decide is *how much* the final sums change.
#
# **Task 3.3.** Look at the rounding more closely, for bit 3. Of the sums of `conv2` that differ between `golden_sums`
# and `faulty_sums`, what share still differs after rounding and ReLU, with no pooling yet? `rounded` does these two
# steps. A fraction.

# %%
from axft_host.nn.inference import apply_host_op

requantise = network.ops[[op.name for op in network.ops].index("conv2.requantise")]


def rounded(sums):
    """Round sums of conv2 to 8-bit activations; negative ones become 0, and so does the ReLU."""
    return apply_host_op(requantise, sums)


bit_3 = axft.follow(CONFIG, "weight:r5:c12:b3:sa1", images=IMAGES, **lab.where)
golden_sums, faulty_sums = bit_3.layers[1].golden_sums, bit_3.layers[1].faulty_sums
print("shape (images, channels, rows, columns):", golden_sums.shape)

# %% tags=["task-3.3"]
share_that_survives = ...

check("3.3", share_that_survives, path=bit_3)

# %% [markdown]
# ## 3. The two polarities of the sign
#
# PE(1, 15), bit 7: the sign of every weight that passes. `conv2` alone uses this PE: `conv1` has 6 channels, and dense
# layers have row 0. Stuck at 0, and stuck at 1:

# %%
signs = {kind: axft.follow(CONFIG, f"weight:r1:c15:b7:{kind}", images=IMAGES, **lab.where) for kind in ("sa0", "sa1")}
for kind, path in signs.items():
    print(kind, "activated", path.explanation.activated, "times:", path.image_table["outcome"].value_counts().to_dict())

# %% [markdown]
# Both are activated about equally often, and both change a weight by the same amount when they are. Yet one ruins
# most images, and the other few. Look at channel 15 of `conv2`, as it leaves for `fc1`, in the first image:

# %%


def channel_15(values):
    """Return channel 15 of what leaves conv2: (images, 400) is a flattened (images, 16 channels, 5, 5)."""
    return values.reshape(-1, 16, 5, 5)[:, 15]


maps = {"no fault": channel_15(signs["sa0"].layers[1].golden)[0]}
maps |= {kind: channel_15(path.layers[1].faulty)[0] for kind, path in signs.items()}
fig, grid = plt.subplots(1, 3, figsize=(7.5, 2.8), layout="constrained")
for axes, (name, values) in zip(grid, maps.items(), strict=True):
    picture = axes.imshow(values, cmap="cividis", vmin=0, vmax=127)
    for (y, x), value in np.ndenumerate(values):
        axes.text(x, y, value, ha="center", va="center", fontsize=8, color="black" if value > 70 else "white")
    axes.set(title=name, xlabel="column", xticks=range(5), yticks=range(5))
grid[0].set_ylabel("row")
fig.colorbar(picture, ax=grid, label="activation")
lab.picture(
    fig, "Channel 15 of conv2 as 5 x 5 activations: fault-free, with the sign stuck at 0 and with it stuck at 1."
)

# %% [markdown]
# **Task 3.4.** Answer from the definition of the fault and of ReLU, then compare with the maps.
#
# * `change_sa0`: by how much does the weight change when the fault *sign stuck at 0* is activated (with its sign)?
# * `change_sa1`: the same for *stuck at 1*?
# * `zeros_sa1`: the share of channel 15's values, behind `conv2` and over all images of `signs["sa1"]`, that are 0
#   under *stuck at 1*.

# %% tags=["task-3.4"]
change_sa0 = ...
change_sa1 = ...
zeros_sa1 = ...

check("3.4", [change_sa0, change_sa1, zeros_sa1], signs=signs)

# %% [markdown]
# A stuck sign that makes weights smaller drives the channel below zero, where ReLU holds it: one channel of sixteen
# is lost, and the network can do without it for most images. One that makes them larger drives it to the top. ReLU is
# a one-sided shield. (What is not driven anywhere is above the fault: the forced weight travels down from PE(1, 15),
# and row 0 of every tile, which holds the output pixels 0, 28, 56 and 84, still gets the right one.)
#
# Here nothing else can be the reason, for no other layer was in it. In PE(0, 9) it would not be so: the dense layers
# use row 0, too, and column 9 of `fc3` is the final sum of class 9, behind which there is no ReLU. Of 100 images, the
# sign of PE(1, 15) is critical for 67 stuck at 0 and for 12 stuck at 1; that of PE(0, 9) for 90 and 13, and 10 of
# these 13 are of class 9: its sum wins for every image stuck at 0, and loses stuck at 1, which matters only where it
# should have won. The arg max is one-sided, too. Before you name a mechanism, ask which layers the fault was in.
#
# ## 4. The verdict
#
# With $Y$ the class probabilities without the fault and $\tilde Y$ those with it, one pair (image, fault) is
#
# * **masked** if nothing differs: the final sums are equal;
# * **tolerable** if it is not masked, the class is the same, and $\max \tilde Y \ge 0.95 \max Y$;
# * **critical** otherwise.
#
# The class is the index of the largest sum, the lowest index on ties. The sums are whole numbers; each is multiplied
# by a constant of the network, `network.score_scale`, and the softmax of the products gives the probabilities.
#
# **Task 3.5.** Write it. `golden` and `faulty` are the ten final sums without and with the fault, `scale` is that
# constant. Take care of the order of the conditions.

# %%
from axft_spec.numeric import softmax

print(softmax(np.array([1.0, 2.0, 4.0])))


# %% tags=["task-3.5"]
def outcome(golden, faulty, scale):
    verdict = ...  # "masked", "tolerable" or "critical"
    return verdict


check("3.5", outcome)

# %% [markdown]
# Whether the answer was *right* plays no part in it: a wrong class that a fault turns into the right one is critical.
#
# The same fault does not do the same to every image. Some faults over the same images:

# %%
MORE = lab.pick(emulator=100, elsewhere=3)
some = [
    "weight:r0:c25:b3:sa1",
    "weight:r27:c3:b4:sa1",
    "weight:r5:c12:b7:sa0",
    "weight:r3:c5:b6:sa1",
    "weight:r10:c2:b7:sa0",
    "weight:r0:c9:b7:sa0",
]
out = Path(tempfile.mkdtemp(prefix="axft-lab-3-")) / "six"  # where the result goes
result = axft.inject(CONFIG, fault_list=some, images=MORE, workers=1, progress=False, out=out, **lab.where)
classes = ("masked", "tolerable", "critical")
counts = pd.DataFrame(
    [[row.count(letter) for letter in "MTC"] for row in result.frame["outcomes"]], index=some, columns=classes
)
counts

# %%
fig, axes = plt.subplots(figsize=(8, 3), layout="constrained")
start_at = np.zeros(len(some))
for name, colour, hatch in zip(classes, ("#1f6f8b", "#e3b23c", "#a4133c"), ("", "//", ""), strict=True):
    shares = 100 * counts[name].to_numpy() / MORE
    axes.barh(some, shares, left=start_at, color=colour, hatch=hatch, edgecolor="white", label=name)
    start_at += shares
axes.invert_yaxis()
axes.set(xlabel=f"share of {MORE} images, %", xlim=(0, 100))
axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
told = "; ".join(f"{name} {', '.join(map(str, row))}" for name, row in counts.iterrows())
lab.picture(fig, f"Outcomes of six faults over the same images, masked, tolerable and critical: {told}.")

# %% [markdown]
# So a fault is not masked or critical: a *pair* is. What a fault has is a share of images, between 0 and 1. That will
# matter in lab 4.
#
# **Task 3.6.** Give the critical *share* of each of the six faults (an array of six fractions), and their mean: the
# critical rate of this little list.

# %% tags=["task-3.6"]
critical_shares = ...
critical_rate = ...

check("3.6", {"shares": critical_shares, "rate": critical_rate}, result=result)

# %% [markdown]
# ## 5. What may you conclude?
#
# **Task 3.7.** Which of these statements follow from what you have seen? Give their letters.
#
# * **a.** A fault that is never activated, with the images at hand, is masked for all of them.
# * **b.** A fault that is activated changes at least one sum.
# * **c.** In this network a difference that survives the first rounding usually reaches the final sums.
# * **d.** Higher bits are always worse: bit 7 stuck at 1 does more harm than bit 6 stuck at 1.
# * **e.** The three low bits of every weight line are certainly masked in 34P, so that 34P is more robust *per fault
#   of the fault space* than 8P even if nothing else differs.
# * **f.** That six faults chosen by hand have this critical rate says what the critical rate of all faults is.

# %% tags=["task-3.7"]
follow = ...

check("3.7", follow)

# %% [markdown]
# **For discussion** (no check, after task 3.7). A table of masked shares per fault of the fault space makes 34P look
# good by its ignored bits. Is that an advantage of the multiplier, or of the way faults are counted? What would you
# count instead?
#
# ## Further reading
#
# * `docs/reference/semantics.md`, sections "Faults" and "Classes and probabilities": every word of the definitions
#   used here.
# * `axft-hw inject --config 34P --fault weight:r3:c5:b6:sa1 --images 1 --explain` shows the table of part 1 in a
#   terminal.

# %%
lab.summary()

# %% [markdown]
# # Lab 5: solutions
#
# 5.1: three shares, each rounded to 0.005, can miss 100 by 0.015. 2PT and 2R5 miss it by 0.01, 2TE by 0.2. The two
# equal shares are the 23.01 of 8P and 34P.

# %% tags=["task-5.1"]
sums = printed[list(CLASSES)].sum(axis=1)
rows_that_do_not_sum = set(sums.index[(sums - 100).abs() > 0.0151])

# %% tags=["task-5.2"]
reduction = printed["energy reduction"][rows] / 100
s = float(((2 * reduction - 1) / (1 - power[rows] / power["2PP"])).median())

# %% tags=["task-5.3"]
sizes_by_the_text = [
    round(N / (1 + 0.01**2 * (N - 1) / (2.576**2 * 0.25))) for N in (2 * 16 * 28 * 28, 2 * 8 * 28 * 28)
]

# %% tags=["task-5.4"]
margin = 100 * 1.96 * (0.25 / 2401) ** 0.5

# %% tags=["task-5.5"]
omitted = axft.multipliers()["omit_a"].reindex(printed["multiplier"]).fillna(0)
masked_at_least = (100 * omitted.to_numpy() / printed["width"].to_numpy()).tolist()

# %% tags=["task-5.6"]
impossible_row = "2TE"

# %% [markdown]
# 5.7: im2col and a fault that stays at one multiplier do nearly the same to 8P, and samples of this size do not
# always agree on which does more: the check takes both. *Raw outputs* cannot move the masked share: masked is decided
# before.

# %% tags=["task-5.7"]
masked = table[(table["config"] == "8P") & (table["outcome"] == "masked")].set_index("reading")["rate"]
moves_most = (masked - masked["base"]).abs().idxmax()

# %% tags=["task-5.8"]
claimed = printed["critical"]["34P"] - printed["critical"]["8P"]
inside = (differences["low"] <= claimed) & (differences["high"] >= claimed)
readings_that_allow_the_claim = set(differences.index[inside])

# %% [markdown]
# 5.9: not all choices were tried, and the network is another one (a). More faults narrow the interval around what
# this reading gives, and not around what is printed (b). The fault is the unit (c). Three quarters of the bits are
# ignored (d). Rounded weights give 96 % (lab 2): it is the flooring that ruins the network (e).

# %% tags=["task-5.9"]
statements_that_hold = "bdf"

# %% tags=["task-5.10"]
methods = {
    "configuration": "34P",
    "network": "lenet5",
    "array": "28x28",
    "lowering": "im2col",
    "rounding": "paper",
    "weight_is": "A",
    "site": "weight",
    "reach": "this PE and those below",
    "kind": "stuck",
    "duration": "permanent",
    "compared": "softmax",
    "unit": "fault",
    "faults": FAULTS,
    "space": 2 * 8 * 28 * 28,
    "images": IMAGES,
    "dataset": "mnist-5k",
    "seed": 0,
}

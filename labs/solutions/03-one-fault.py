# %% [markdown]
# # Lab 3: solutions
#
# 3.1: a column of weights passes once per tile; 100 rows are cut into tiles of 28, 28, 28 and 16, and all four have a
# row 3.

# %% tags=["task-3.1"]
zeros_at_bit_6 = int((conv2[:, 5] >> 6 & 1 == 0).sum())
activations = 4 * zeros_at_bit_6

# %% tags=["task-3.2"]
reasons = {
    "A": "ignored bit",
    "B": "idle PE",
    "C in conv1": "zero activation",
    "C in conv2": "rounded away",
}

# %% tags=["task-3.3"]
differs = golden_sums != faulty_sums
share_that_survives = (rounded(golden_sums) != rounded(faulty_sums))[differs].mean()

# %% [markdown]
# 3.4: the sign bit of an 8-bit two's complement number weighs -128. Stuck at 0 it is activated on negative weights,
# which gain 128; stuck at 1 on the others, which lose 128.

# %% tags=["task-3.4"]
change_sa0 = 128
change_sa1 = -128
zeros_sa1 = (channel_15(signs["sa1"].layers[1].faulty) == 0).mean()


# %% tags=["task-3.5"]
def outcome(golden, faulty, scale):
    if np.array_equal(golden, faulty):
        return "masked"
    if np.argmax(golden) != np.argmax(faulty):
        return "critical"
    kept = softmax(np.asarray(faulty) * scale).max() >= 0.95 * softmax(np.asarray(golden) * scale).max()
    return "tolerable" if kept else "critical"


# %% tags=["task-3.6"]
critical_shares = counts["critical"].to_numpy() / MORE
critical_rate = critical_shares.mean()

# %% [markdown]
# 3.7: b fails where the activation is zero (fault C in `conv1`); d fails for PE(1, 15), where bit 7 stuck at 1
# meets ReLU: critical for 12 of 100 images, and bit 6 for 28; f: six faults chosen by hand are no sample.

# %% tags=["task-3.7"]
follow = "ace"

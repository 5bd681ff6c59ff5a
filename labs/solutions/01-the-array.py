# %% [markdown]
# # Lab 1: solutions
#
# 1.1: $k = t - r - c$ must lie in 0..3, so that in cycle 3 all PEs with $r + c \le 3$ are busy: all but PE(2, 2),
# which is four steps away.

# %% tags=["task-1.1"]
busy_in_cycle_3 = [[1, 1, 1], [1, 1, 1], [1, 1, 0]]


# %% tags=["task-1.2"]
def step(t, r, c, K):
    k = t - r - c
    return k if 0 <= k < K else -1


# %% [markdown]
# 1.3: the last PE starts after $(R-1) + (C-1)$ cycles and takes $K$.


# %% tags=["task-1.3"]
def tile_cycles(K, R, C):
    return K + R + C - 2


# %% tags=["task-1.4"]
def utilisation(m, n, K, R, C):
    return m * n * K / (R * C * (K + R + C - 2))


# %% [markdown]
# 1.5: convolutions reach all 28 rows, and columns 0 to 15 (`conv2` has 16 channels): 448 PEs. Dense layers have one
# row, all 28 columns: 12 more, which no convolution reaches.

# %% tags=["task-1.5"]
pes_ever_used = 28 * 16 + 12

# %% [markdown]
# 1.6: weights flow south and activations east; PEs to the north and to the west never see the forced value.

# %% tags=["task-1.6"]
reach = {
    "weight": [[0, 0, 0], [0, 1, 0], [0, 1, 0]],
    "activation": [[0, 0, 0], [0, 1, 1], [0, 0, 0]],
    "weight_operand": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "psum": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
}

# %% [markdown]
# 1.7: $k = 3 - 0 - 1 = 2$; the operand moves down one row per cycle, so that it is at row 2 in cycle 5; the PEs (0,
# 1), (1, 1) and (2, 1) multiply with it.

# %% tags=["task-1.7"]
hit_step = 2
cycle_at_row_2 = 5
outputs_at_risk = 3

# %% [markdown]
# 1.8: b is wrong (rows above $r$ are never reached); d is right only for permanent faults of PEs, which is what the
# lab means by a defect in a PE: they have no valid step; e confuses the share of faults that are masked, of a fault
# space that counts idle PEs, with how reliable what is used is.

# %% tags=["task-1.8"]
follow = "acdf"

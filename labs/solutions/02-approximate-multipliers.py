# %% [markdown]
# # Lab 2: solutions
#
# 2.1: 34P clears three low bits of each operand and multiplies exactly.


# %% tags=["task-2.1"]
def product_34p(a, b):
    return (a >> 3 << 3) * (b >> 3 << 3)


# %% tags=["task-2.2"]
mae = np.abs(part.errors).mean()
wce = np.abs(part.errors).max()
ep = (part.errors != 0).mean()

# %% tags=["task-2.3"]
factor = (mae / 2**14) / (axft.multipliers(12).loc["34P", "mae"] / 2**22)

# %% tags=["task-2.4"]
mean_error = part.errors[:, part.operands >= 0].mean()

# %% [markdown]
# 2.5: $P = 0$ gives $1 - 0.5 \cdot 0.81$.

# %% tags=["task-2.5"]
best_reduction = 1 - 0.5 * (1 - 0.19)


# %% tags=["task-2.6"]
def round_to_kept(w, omit):
    step = 1 << omit
    return np.clip((w + step // 2) >> omit << omit, -128, 127 >> omit << omit)


# %% tags=["task-2.7"]
mean_floored = (floored - weights).mean()
mean_nearest = (nearest - weights).mean()

# %% [markdown]
# 2.8: about 4% in products and 89% in sums.


# %% tags=["task-2.8"]
def share_of_bias(values):
    return values.mean() ** 2 / (values**2.0).mean()


share_in_products = share_of_bias(errors["floored"]["product"])
share_in_sums = share_of_bias(errors["floored"]["sum of 400"])

# %% [markdown]
# 2.9: a part has one MAE, and had two accuracies, by how its weights were made (a); c confuses the part with
# how its weights were made; e: the standard error of an accuracy near 99% of 1,000 images is 0.3 points.

# %% tags=["task-2.9"]
follow = "bdf"

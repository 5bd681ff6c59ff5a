# %% [markdown]
# # Lab 1: solutions

# %% tags=["task-1.1"]
cycles = 16

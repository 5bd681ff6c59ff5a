# %% [markdown]
# # Lab 7: solutions

# %% tags=["task-7.1"]
diagnoses = {"A": "activation counter", "B": "scan chain", "C": "watchdog", "D": "partial sum of a PE"}

# %% [markdown]
# 7.2: all but D multiply right. The chain, the counter and the watchdog take no part in a golden run.

# %% tags=["task-7.2"]
right_without_faults = {name.lower() for name in "ABCD" if devices.gemm_is_right(devices.patient(name))}

# %% [markdown]
# 7.3: outcomes are made from final accumulators alone (a). The driver shifts the chain out again and refuses to go on
# (b). It also gives every wait a deadline of its own, in case that the watchdog says nothing (c). Golden runs are
# compared with the emulator, image by image (d). Tests are samples: of operands, of bits, of moments (e).

# %% tags=["task-7.3"]
statements_that_hold = "ad"

# %% tags=["task-7.4"]
largest_share = 100 * (1 - 0.05 ** (1 / FAULTS))

# %% tags=["task-7.5"]
n = (there.frame["activated"] > 0).sum()
largest_share_of_activated = 100 * (1 - 0.05 ** (1 / n))

# %% tags=["task-7.6"]
faults_for_one_percent = int(np.ceil(np.log(0.05) / np.log(0.99)))

# %% [markdown]
# 7.7: one command is done, and nothing is busy.

# %% tags=["task-7.7"]
witness = "COMMANDS_DONE"

# %% tags=["task-7.8"]
too_small, enough = 0, device.watchdog_limit
while enough - too_small > 1:
    middle = (too_small + enough) // 2
    if completes(device, middle):
        enough = middle
    else:
        too_small = middle
smallest_limit = enough

# %% tags=["task-7.9"]
hung = set(wild.frame.loc[wild.frame["status"] == "hang", "site"])


# %% tags=["task-7.10"]
def is_outcome(failures):
    return failures[-1] in failures[:-1] or len(failures) >= 4


# %% tags=["task-7.11"]
remedies = {name: what_helps(name) for name in AILMENTS}

# %% [markdown]
# 7.12: both sides would have to be wrong alike, or the mistake not be met (a); timing, the processor's bus, the tools
# that make the bitstream, and the chip are not in a simulation (b). A hang is the lack of a result within the window
# (c). The second run was the fault's: the first failure was bad luck, and is stored as a recovery (d). A processor
# that waits for its bus runs nothing; only its own hardware watchdog, or switched power, can help (e).

# %% tags=["task-7.12"]
statements_that_hold = "ac"

# %% [markdown]
# # Lab 6: solutions
#
# 6.1: a PE has five positions, for bits 3 to 7.


# %% tags=["task-6.1"]
def position(row, col, bit):
    bits = device.hardware.site_range(Site.WEIGHT)
    return (row * device.hardware.array.cols + col) * device.hardware.pe_scan_bits + bit - bits[0]


# %% tags=["task-6.2"]
cycles_to_arm = 28 * 28 * (8 - 3) + 2


# %% tags=["task-6.3"]
def find_break(works, length):
    low, high = 0, length  # everything before low works, nothing from high on does
    while low < high:
        middle = (low + high) // 2
        if works(middle):
            low = middle + 1
        else:
            high = middle
    return low


# %% tags=["task-6.4"]
site = broken.scan_map.site_at(find_break(works, len(broken.scan_map)))
place_of_break = site.row, site.col, site.bit

# %% [markdown]
# 6.5: a golden run does not use the chain (a), so that only shifting shows it (b). The broken flip-flop is stuck at
# 1, and everything behind it is filled with ones: a campaign on positions before it would have all others armed too
# (c). Nothing is counted for a bit that is not armed (d); but a table of its own says whether an observed bit
# differs, so that a count does not prove what leaves the gate. A list of faults that are masked is no sign of a
# broken chain: all bits may be ignored, idle, or stuck at what they are (e).

# %% tags=["task-6.5"]
statements_that_hold = "bd"

# %% tags=["task-6.6"]
first_operands, first_sum = 1 + 2, 1 + 2 + 2

# %% [markdown]
# 6.7: in the same period, the multiplier's result arrives in the product register of PE(1, 2), and the forced weight
# in the register of PE(2, 2): both are one edge behind the gate.

# %% tags=["task-6.7"]
begins = {name: wave.cycles[differs(wave, golden, name)][0] for name in registers if differs(wave, golden, name).any()}
first_to_differ = {name for name, begin in begins.items() if begin == min(begins.values())}

# %% tags=["task-6.8"]
valid = golden.values["core.array.pe_1_2.valid_east"] == 1
bit = golden.values["core.array.pe_1_2.weight"] >> 3 & 1  # bit 6 of 8, whose three low ones are not stored
activations_by_hand = int((valid & (bit == 0)).sum())

# %% tags=["task-6.9"]
none, weight = counted["none"], counted["weight"]
bits = len(everything.site_range(Site.WEIGHT))
every = sum(len(everything.site_range(site)) for site in Site)
predicted_flip_flops = none.flip_flops + every * (weight.flip_flops - none.flip_flops) / bits
predicted_luts = none.luts + every * (weight.luts - none.luts) / bits

# %% tags=["task-6.10"]
largest_sides = [int((0.85 * LUTS / area.luts) ** 0.5) for area in counted.values()]

# %% [markdown]
# 6.11: a count is not a placement, and bus, buffers and sequencer come on top: that 28 x 28 PEs with the site
# `weight` were routed is known from a run of place and route, in `docs/reference/area.md`, and not from the count
# (a). The gates add delay, but no register: cycles stay (b). All sites take about three times as many look-up tables
# as the PE without them (c). A stuck gate output is a model; what breaks inside a multiplier may show as many wrong
# bits, or depend on the operands before (d). A weight in the buffer is used by all PEs of its column, whereas the
# fault reaches only those from its own row downwards (e).

# %% tags=["task-6.11"]
statements_that_hold = "bc"

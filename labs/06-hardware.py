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
# # Lab 6: Hardware that injects faults
#
# **The question.** A fault that a program simulates is a line of code. A fault in hardware needs a circuit that makes
# it: something that forces a bit, something that says which bit and when, and something that tells you whether it
# happened. How does one know that it did what was asked for, and what does it cost?
#
# **You will be able to**
#
# * find the place of any fault site in a scan chain, and say how long arming takes;
# * prove that what is armed is what was asked for, and locate a broken chain without opening anything;
# * read a waveform: find the operands of a step, and the first register that a fault reaches;
# * state the price of fault injection in look-up tables, flip-flops and cycles, and what such a count leaves open.
#
# **Before you start** you should have done labs 1 and 3: skew, fault sites, stuck-at faults, `activated`. From
# digital design: what a shift register and a multiplexer are, and that a register takes its input at the clock edge.
#
# **Time:** 75 minutes.
#
# | part | | minutes |
# |---|---|---|
# | 1 | one chain through all PEs | 15 |
# | 2 | what is armed must be proved | 20 |
# | 3 | waveforms | 20 |
# | 4 | the price | 15 |
# | 5 | what may you conclude? | 5 |
#
# Tasks hold three dots, `...`, where your answer goes. Each ends with a check that says what is wrong with an answer.

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

lab = start("6", board=BOARD, written_for="0.1.0")
check = lab.check

# %% [markdown]
# **Which device this is.** An emulator computes what an array would compute; it has neither a scan chain nor a clock.
# This lab is about both. On `"emu"` and `"rtl"` it takes a small device in simulation: the netlist that `axft-hw
# generate` writes for a board, compiled for this machine, and used through its own bus by the driver that a board has
# too. On `"pynq"` parts 1 and 2 begin with the device in the fabric. A board at a link shows no registers, so that
# the simulated device takes its place. Flip-flops can be *seen* in simulation alone: part 3, the broken chain of part
# 2, and the counting of part 4 need a PC, whatever `BOARD` says.

# %%
import numpy as np
import pandas as pd

import axft
from axft_host.labs import devices, drawings
from axft_host.labs.lab6 import FAULT, LUTS, differs
from axft_spec.faults import FaultSite, Site, parse_fault

device = devices.device_of(lab)

# %% [markdown]
# ## 1. One chain through all PEs
#
# Behind the register at its north side each PE has, for every bit of the weight, a *fault gate*: a small circuit that
# lets the bit pass, inverts it, or forces it to 0 or 1. Two things decide which of these it does. The bit's own
# flip-flop says whether this bit is **armed**. Two wires that all PEs share say **what** is done to armed bits in
# this clock cycle: nothing, flip, stuck at 0, stuck at 1.
#
# The flip-flops of all bits of all PEs form one long shift register, the **scan chain**. Its two ends are all that
# has to reach the controller, whatever the size of the array. Chips have been tested through such chains since the
# 1970s; here one carries faults in.

# %%
drawings.chain(device.hardware)

# %% [markdown]
# The order, from position 0 at the input:
#
# * PEs row by row, from west to east in each row;
# * in a PE, its fault sites in the order *weight, activation, weight operand, activation operand, product, psum*, as
#   far as this device has them;
# * in a site, its bits from the lowest upwards, **those that exist**. The multiplier 34P ignores the three low bits
#   of either operand. Nothing stores these bits, and nothing can force them: they have no position.
#
# **Task 6.1.** Write a function that returns the position of a bit of the site `weight`. A PE has
# `device.hardware.pe_scan_bits` positions, the array `device.hardware.array.cols` columns, and
# `device.hardware.site_range(Site.WEIGHT)` is the range of the weight's bits that exist.


# %% tags=["task-6.1"]
def position(row, col, bit):
    place = ...
    return place


check("6.1", position, device=device)

# %% [markdown]
# To arm one bit, the controller shifts a 1 to its place, and zeros everywhere else: the bit for the *last* position
# goes in first. It shifts through the whole chain each time, one position in a clock cycle, and takes 2 cycles more
# to begin and to end.
#
# **Task 6.2.** How many clock cycles does it take to arm one bit of a weight in an array of $28 \times 28$ PEs with
# the multiplier 34P, if the device has the site `weight` alone?

# %% tags=["task-6.2"]
cycles_to_arm = ...

check("6.2", cycles_to_arm)

# %% [markdown]
# Is that long? Here is what it stands beside: the clock cycles in which the same array runs the shipped LeNet-5 once
# (loading operands not counted).

# %%
layers = axft.schedule("34P")
print(f"one image: {layers['cycles'].sum():,} clock cycles in {layers['tiles'].sum()} tiles")
layers

# %% [markdown]
# A campaign arms once per fault and then runs, say, 1,000 images: the chain is slow, and it does not matter. Had the
# fault to be armed anew for every *tile*, it would. When you judge a mechanism, ask how often it runs.
#
# ## 2. What is armed must be proved
#
# A campaign on hardware has a failure that a simulated one does not have: the fault is *not there*. Then the run is a
# golden run, it is counted as masked, and nothing looks wrong. So the driver believes nothing. Whenever it has
# shifted bits in, it has the chain shifted once around: each bit that leaves at the end is counted, and fed in again
# at the beginning.

# %%
place = parse_fault(FAULT).sites[0]
device.arm(parse_fault(FAULT))  # shifts in, shifts around, compares; raises an error if anything differs
pattern = [device.scan_map.position(FaultSite(Site.WEIGHT, 0, 0, 7)), device.scan_map.position(place)]
print(f"{FAULT} is at position {device.scan_map.position(place)}")
print(f"shifted in {pattern}, shifted out {device.shift(pattern)}")
drawings.chain(device.hardware, pattern)

# %% [markdown]
# Now a device on which one flip-flop of the chain is broken. (It is simulated: a bit is held for good.)

# %%
broken, works = devices.broken_chain()
print(f"shifted in [], shifted out {broken.shift([])[:8]} and so on")
try:
    broken.arm(parse_fault(FAULT))
except axft.AxftError as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# That the chain is broken is plain. *Where* cannot be seen in what comes out: every bit has to pass the broken place,
# and what leaves the chain has lost all trace of what went in. But the beginning of the chain still works, and there
# is a second way to see whether a bit is armed: **by what it does**. `works(p)` arms position $p$, has the PE there
# flip that bit of an operand in one step, and looks at the counter of activations; then it disarms, and sees that the
# counter stays at 0. What comes out of the chain is not looked at.
#
# **Task 6.3.** Write `find_break(works, length)`: the first position that does not work, or `length` if all do.
# Positions before the break work, all behind it do not. Each look takes a shift through the whole chain, so look as
# rarely as you can: about $\log_2$ of the length is enough. (Your function is tried on chains of several lengths.)


# %% tags=["task-6.3"]
def find_break(works, length):
    first = ...
    return first


check("6.3", find_break)

# %% [markdown]
# **Task 6.4.** Use it on the broken device, and say where it hurts: row, column and bit of the first weight bit that
# cannot be armed. (Either turn your formula of task 6.1 around, or ask `broken.scan_map.site_at`.)

# %% tags=["task-6.4"]
place_of_break = ...  # such as (0, 0, 3): row, column, bit

check("6.4", place_of_break, device=broken)

# %% [markdown]
# **Task 6.5.** Which of these hold? Give their letters, such as `"ab"`.
#
# * **a.** If golden runs on a device give the right results, its scan chain is whole.
# * **b.** If a pattern that was shifted in comes out again bit by bit, then it was in the chain.
# * **c.** On the broken device above, a campaign that uses only positions before the break would be right.
# * **d.** If a device counts activations of a fault, then the bit was armed while valid operands went by.
# * **e.** If a fault list gives no SDC on a device, something is wrong with its chain.

# %% tags=["task-6.5"]
statements_that_hold = ...

check("6.5", statements_that_hold)

# %% [markdown]
# ## 3. Waveforms
#
# A waveform shows what registers hold in every clock period. That is more than a debugger gives, and the one view in
# which hardware cannot be misunderstood: there is no "then", only *in this period* and *in the next*.
#
# Both recordings below are of one tile with six steps, on the simulated device, through the driver; the first
# without, the second with the fault `weight:r1:c2:b6:sa1`. Everything is recorded: the reset, bus, scan chain.
# `aligned` keeps a few clock periods and counts them from the one in which PE(0, 0) holds the operands of step 0.

# %%
from axft_hw.sim.waveform import record

seen = devices.simulated()  # flip-flops of a board cannot be seen
activations, weights = devices.operands(seen.hardware.array, steps=6)
registers = [
    f"core.array.pe_{row}_{col}.{name}"
    for row in range(4)
    for col in range(4)
    for name in ("valid_east", "weight", "activation_east", "product", "psum")
]
with record(devices.simulation_of(seen), registers) as golden_recording:
    golden_psums, _ = seen.gemm(seen.hardware.array, activations[None], weights)
with record(devices.simulation_of(seen), registers) as faulty_recording:
    faulty_psums, activated = seen.gemm(seen.hardware.array, activations[None], weights, parse_fault(FAULT))
golden, wave = (devices.aligned(each, -1, 13) for each in (golden_recording, faulty_recording))
print(f"{len(faulty_recording.cycles)} clock periods recorded, {len(wave.cycles)} kept")

# %%
what = {
    "valid_east": "valid",
    "weight": "weight",
    "activation_east": "activation",
    "product": "product",
    "psum": "psum",
}
shown = {
    f"core.array.pe_{pe}.{name}": f"PE({pe[0]}, {pe[2]}) {word}" for pe in ("1_2", "2_2") for name, word in what.items()
}
drawings.waves(wave, {"core.array.pe_0_0.valid_east": "PE(0, 0) valid"} | shown, golden)

# %% [markdown]
# How to read it:
#
# * Registers hold only the bits that exist. A weight of 64 is 8 here: its three low bits are not stored. Products and
#   sums lack their six low bits, which are always 0: multiply by 64.
# * A register that nothing changes on its way out has the name of the wire that it drives: `activation_east` *is* the
#   activation register, since this device has no gate behind it; `valid_east` the one that says whether operands are
#   there.
# * The operands of a step are in the input registers in one period, their product in the product register in the
#   next, and in `psum` one later. Each register is one edge behind what it is made from.
#
# **Task 6.6.** In which clock period does PE(1, 2) hold the operands of step 0, and which is the first period in
# which its `psum` holds their product? Explain the first by the skew (lab 1), the second by the registers on the way.

# %% tags=["task-6.6"]
first_operands, first_sum = ..., ...

check("6.6", None if first_sum is ... else [first_operands, first_sum])

# %% [markdown]
# **Task 6.7.** Look at *all* PEs. Which registers are the first to differ from the golden run? `differs(wave, golden,
# name)` says in which periods a register differs (as an array of booleans, one for each of `wave.cycles`). It leaves
# out input registers of PEs that are not valid: the gate also forces what is no operand, as the 8 in PE(2, 2) shows
# before its first step, and nobody adds it to anything. Give a set of names out of `registers`.

# %% tags=["task-6.7"]
first_to_differ = ...

check("6.7", first_to_differ, wave=wave, golden=golden)

# %% [markdown]
# The register of the faulty weight itself, `core.array.pe_1_2.weight`, is not among them, and never differs. Before
# you read on: why?
#
# The gate sits *behind* the register, on the line that leaves it. The register keeps what came from the north; the
# multiplier of PE(1, 2) and the register of PE(2, 2) see what the gate lets through. This is a decision with
# consequences: had the gate been in front of the register, the fault would act one clock period earlier, and a
# transient one would hit another step. What the waveform shows is also what the specification says
# (`docs/reference/semantics.md`); a fault model is defined to the clock period, or not at all.
#
# **Task 6.8.** The counter of activations counts the valid steps in which the forced bit differs from the one that
# arrived. From the *golden* waveform: how many of the six steps activate the fault? (Bit 6 of the weight is which bit
# of this register?)

# %% tags=["task-6.8"]
activations_by_hand = ...

check("6.8", activations_by_hand, golden=golden)

# %%
print(f"the device has counted {activated[0]}")
print("columns of the result that differ:", np.flatnonzero((golden_psums != faulty_psums).any(axis=(0, 1))))
print("rows of the result that differ:   ", np.flatnonzero((golden_psums != faulty_psums).any(axis=(0, 2))))

# %% [markdown]
# Engineers look at waveforms in a viewer (GTKWave or Surfer, say). The next cell writes a file for it: all registers
# of the array, 10 ns for a period.

# %%
from pathlib import Path
from tempfile import mkdtemp

vcd = Path(mkdtemp(prefix="axft-lab6-")) / "faulty.vcd"
vcd.write_text(faulty_recording.to_vcd())
print(vcd)

# %% [markdown]
# ## 4. The price
#
# What does it cost that a device can be faulty on demand? `pe_area` has yosys, an open synthesis tool, map one PE to
# the cells of a 7-series FPGA: look-up tables of up to six inputs, flip-flops, carry chains. (Five seconds each.)

# %%
counted = {sites: devices.pe_area(sites) for sites in ("none", "weight")}
pd.DataFrame({sites: {"look-up tables": area.luts, "flip-flops": area.flip_flops} for sites, area in counted.items()})

# %% [markdown]
# One flip-flop for each armed bit: that was to be expected. Look-up tables: a gate is a function of four inputs (the
# bit, its armed flip-flop, two wires that say what to do), so one table each; telling whether an observed bit differs
# takes about another.
#
# **Task 6.9.** Predict one PE with **all six** sites, before you have it counted: its flip-flops and its look-up
# tables. Assume that every armed bit costs what one costs in the site `weight`. The widths are in the next cell.

# %%
from axft_spec.hardware import HardwareConfig

everything = HardwareConfig(array=seen.hardware.array)
{site.value: len(everything.site_range(site)) for site in Site}

# %% tags=["task-6.9"]
predicted_flip_flops, predicted_luts = ..., ...

check("6.9", None if predicted_luts is ... else [predicted_flip_flops, predicted_luts], **counted)

# %%
counted["all"] = devices.pe_area("all")
drawings.areas(counted, everything.pe_scan_bits / seen.hardware.pe_scan_bits)

# %% [markdown]
# The flip-flops were a prediction that could hardly fail. The look-up tables were an extrapolation from 5 bits to ten
# times as many, and it is off by as much as the figure shows: bits are not alike. Count `devices.pe_area("product")`:
# a bit there costs more than twice what a weight's does. A slope through two points is a model with nothing left to
# test it; a third point is the first test.
#
# **Task 6.10.** Price in another currency: for each of the three, what is the side $n$ of the largest array of $n
# \times n$ PEs whose look-up tables take at most 85 % of the 53,200 (`LUTS`) of an XC7Z020? (Fuller devices tend not
# to route.)

# %% tags=["task-6.10"]
largest_sides = ...  # three numbers: for none, weight, all

check("6.10", largest_sides, counted=counted)

# %% [markdown]
# For whole designs, with bus, buffers and sequencer, see the tables of `docs/reference/area.md`, and there what
# became of 28 x 28 PEs in a device: two small tables can share a place, which this count does not know, and all that is
# beside the PEs needs places, too.
#
# ## 5. What may you conclude?
#
# **Task 6.11.** Which of these hold?
#
# * **a.** That an array of some size passes the test of task 6.10 shows that a device with it can be built.
# * **b.** A tile takes as many clock cycles on a device with fault sites as on one without.
# * **c.** All six sites together take more look-up tables than the PE that they are put into.
# * **d.** A bit that is stuck at this gate does what a defect in the multiplier of a manufactured chip would do.
# * **e.** The gates could be saved: the host can have the same effect by writing faulty weights into the buffer, for
#   every fault of this site.

# %% tags=["task-6.11"]
statements_that_hold = ...

check("6.11", statements_that_hold)

# %% [markdown]
# **For discussion** (no check)
#
# 1. The fault lists of this lab are drawn over bits that exist *and* bits that the multiplier ignores. Why must the
#    ignored ones stay in the fault space, although no hardware is needed for them? What would leaving them out do to
#    the masked share of 34P, and to its comparison with 8P?
# 2. The scan chain is itself hardware that can fail in operation: a particle that flips an armed flip-flop makes a
#    fault that nobody asked for. At $28 \times 28$, how many flip-flops are there only for injection, and why does a
#    clean golden run behind every few seconds of a campaign not see them all? What does?
#
# ## Further reading
#
# * `docs/reference/hardware.md`: how a tile runs, how a fault is armed. `docs/reference/area.md`: what a whole design
#   costs, and what each idea in the PE is worth.
# * `docs/reference/semantics.md`, "Tiles and cycles" and "Faults": what every backend must do, to the clock cycle.
# * `docs/decisions/0006-one-observed-pe.md`: why the activations of one PE are counted at a time.
# * R. Leveugle, A. Calvez, P. Maistri, P. Vanhauwaert, "Statistical fault injection: quantified error and
#   confidence", DATE 2009: how many faults to arm.

# %%
lab.summary()

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
# # Lab 7: The board
#
# **The question.** An experiment on hardware measures two things at once: what the fault does, and whether the
# apparatus works. How far can a board be trusted, how do you show it, and what do you do when it stops answering in
# the middle of a campaign?
#
# **You will be able to**
#
# * examine a device from its registers up, and say what each check rests on and what a failing one leaves standing;
# * show that board and emulator agree on the same faults, and say what such an agreement is worth, as a number;
# * tell a hang from a crash, a false hang from a real one, and an outcome from bad luck;
# * choose the mildest remedy for a device that has failed.
#
# **Before you start** you should have done labs 3, 4 and 6: outcomes, intervals with the fault as the unit, the scan
# chain.
#
# **Time:** 80 minutes.
#
# | part | | minutes |
# |---|---|---|
# | 1 | the doctor, and four patients | 25 |
# | 2 | the same faults, twice | 20 |
# | 3 | a hang | 15 |
# | 4 | outcome or bad luck | 10 |
# | 5 | what may you conclude? | 10 |
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

lab = start("7", board=BOARD, written_for="0.1.0")
check = lab.check

# %% [markdown]
# **Which board this is.** With a PYNQ-Z2, set `BOARD` to `"pynq"` on the board itself, or to
# `"link:socket://HOST:PORT"` on a PC while the agent serves the board. Without one, `"emu"` and `"rtl"` take a
# **stand-in**: the netlist that a board's bitstream is made from, simulated, behind the same driver and the same
# registers. What the stand-in cannot show is the subject of the last task. Some parts need a device that is ill, or
# that can be made so; those are simulated always, since nobody should break a board for a lab.

# %%
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import axft
from axft_host.labs import devices, drawings
from axft_host.labs.lab7 import AILMENTS, ILLNESSES, STEPS, completes, what_helps
from axft_spec.regmap import register

pd.set_option("display.max_colwidth", 120)
place = {"board": "rtl", "physical": "4x4"} if lab.on_emulator else lab.where
place

# %% [markdown]
# ## 1. The doctor, and four patients
#
# A campaign's result says "masked". Before you believe it, a lot must be true: the bus carries every bit, the buffers
# keep what is written, the scan chain arms the bit that was meant, the array multiplies as specified, the counter
# counts, the watchdog fires when it must. `doctor` looks at these one after another, **from the bottom up**: no check
# uses what has not been looked at before it. So the first failing row is the one to read first.

# %%
findings = axft.doctor(**place, config="34P")
findings[["state", "text"]]

# %% [markdown]
# Note the kinds of evidence. Some rows compare with what must be there by definition (*identity*). Some write
# patterns and read them back. *GEMM* and *fault* compare with the reference model: an answer that this device did not
# produce. *golden network* compares a whole network with the emulator. And each row says how much it has looked at:
# "6 patterns of 80 bits", not "ok".
#
# Now four devices with one defect each. (One bit of one flip-flop is stuck; the rest is the netlist that you have
# just examined.)

# %%
patients = {name: devices.examined(devices.patient(name)) for name in "ABCD"}
ill = pd.concat({name: found[found["state"] != "pass"] for name, found in patients.items()}, names=["patient"])
ill[["state", "text"]]

# %% [markdown]
# **Task 7.1.** What does each of them have? Choose from `ILLNESSES`: activation counter, bus, operand buffer, partial
# sum of a PE, scan chain, watchdog. Look also at what *passes*: `patients["A"]` is the whole table of A.

# %% tags=["task-7.1"]
diagnoses = {"A": ..., "B": ..., "C": ..., "D": ...}

check("7.1", diagnoses)

# %% [markdown]
# **Task 7.2.** The hospital is full: healthy enough to compute **without** faults are which of them? Predict first;
# then `devices.gemm_is_right(devices.patient("A"))` runs a tile and compares it with the reference. Give letters.

# %% tags=["task-7.2"]
right_without_faults = ...

check("7.2", right_without_faults)

# %% [markdown]
# **Task 7.3.** And campaigns? Which of these hold?
#
# * **a.** On A, masked, tolerable and critical would come out right, and only the counts of activations be wrong.
# * **b.** On B, faults that were not armed as asked would be counted as masked, and nobody would notice.
# * **c.** On C, a fault that hangs the device would stop the campaign for ever.
# * **d.** On D, the golden run with which a campaign begins would end it before the first fault.
# * **e.** A device on which every row passes computes every tile of every network right.

# %% tags=["task-7.3"]
statements_that_hold = ...

check("7.3", statements_that_hold)

# %% [markdown]
# ## 2. The same faults, twice
#
# A fault list is drawn from a seed in the same order on every machine. So the same list can run on the board and on
# the emulator, and the outcomes be compared **pair by pair**, not rate by rate: two rates can agree although every
# second pair differs.
#
# The array of the campaign is 28 x 28 *logical* PEs. The device has fewer: each tile runs as several smaller ones,
# and every fault is translated into what it does in each of them. That is one more thing that may be wrong, and one
# more reason to compare.

# %%
FAULTS, IMAGES = 40, 3  # the comparison is as good as the number of faults: more, if you have the time
OUT = Path(tempfile.mkdtemp(prefix="axft-lab-7-"))  # where results go
same_faults = {"faults": FAULTS, "images": IMAGES, "seed": 7, "workers": 1, "progress": False}
there = axft.inject("34P", out=OUT / "there", **same_faults, **place)
here = axft.inject("34P", out=OUT / "here", **same_faults)
same = there.diff(here)
print(
    f"{same.pairs} pairs of {same.faults} faults compared: {same.differing_pairs} outcomes differ, "
    f"{same.differing_activated} counts of activations"
)

# %% [markdown]
# None differs. What is that worth? Suppose a share $p$ of all faults of the space gave another outcome on the board.
# The probability that a random sample of $n$ faults shows none of them is $(1-p)^n$. The largest $p$ for which this
# is still 5 % is the upper end of a one-sided 95 % interval (lab 4: 0 of $n$ is not 0).
#
# **Task 7.4.** With what share of the *fault space*, in percent, is this comparison still compatible? (What is $n$
# here?)

# %% tags=["task-7.4"]
largest_share = ...

check("7.4", largest_share, faults=FAULTS, images=IMAGES)

# %% [markdown]
# But many of these faults are at bits that the multiplier ignores, in PEs that no layer uses, or stuck at what is
# there anyway. A device gets those right by doing nothing. What was to be tested is the fault logic, and that is used
# by faults that are *activated*.

# %%
there.frame["activated"].gt(0).value_counts()

# %% [markdown]
# **Task 7.5.** State the bound, in percent, for the faults that are activated: they are a random sample of those of
# the space.

# %% tags=["task-7.5"]
largest_share_of_activated = ...

check("7.5", largest_share_of_activated, frame=there.frame)

# %% [markdown]
# **Task 7.6.** How many faults must agree, at least, before you may say with 95 % confidence that less than 1 % of
# them differ?

# %% tags=["task-7.6"]
faults_for_one_percent = ...

check("7.6", faults_for_one_percent)

# %%
acted = int((there.frame["activated"] > 0).sum())
drawings.bounds({"the doctor's one": 1, "activated, above": acted, "drawn, above": FAULTS, "a full campaign": 2401})

# %% [markdown]
# This is why the doctor's single fault per site is a smoke test, and agreement over hundreds of faults is evidence.
# It is also why the fault lists of this project are compared on devices of odd sizes: what is alike in all faults of
# one list (one array, one network) is one observation of *that*.
#
# ## 3. A hang
#
# Some faults do not give a wrong answer but none. From outside this is nothing but time passing, and time alone says
# little: is it slow, stuck, or gone? The convention:
#
# | | what was seen |
# |---|---|
# | **hang** | the device answers, and there is no result within the observation window |
# | **crash** | the bus answers with an error, with something else, or not at all |
#
# The observation window is made by a **watchdog**: a counter of clock cycles that is set back when a command begins
# or ends, and sets a bit that stays when it passes its limit. It lies outside of everything that faults can reach.
# The driver sets the limit to twice what any command can take. Let us set it too low.

# %%
device = devices.device_of(lab)
activations, weights = devices.operands(device.hardware.array, STEPS)
device.port.write32(register("WATCHDOG_LIMIT").offset, 20)
try:
    device.gemm(device.hardware.array, activations[None], weights)
    print("done")
except axft.AxftError as error:
    print(f"{type(error).__name__}: {error}")

# %% [markdown]
# When a deadline passes, the driver reads all registers into its error: the state of the device at that moment cannot
# be had later. Read it like a witness. (`docs/reference/regmap.md` has every field.)
#
# **Task 7.7.** This was no real hang. Which one register says that the device did its work? Its name.

# %% tags=["task-7.7"]
witness = ...

check("7.7", witness)

# %% [markdown]
# Had this been a campaign, the fault would now be recorded as a hang, because the experimenter chose a window that is
# too short. A window that is too long costs time with every real hang. And it has to be counted in clock cycles of
# the array, not in seconds: else the same fault hangs on a slow PC, and not on a fast one.
#
# **Task 7.8.** What is the smallest limit under which this tile is done? `completes(device, limit)` tries one. (Do
# not try them all: `device.watchdog_limit` is surely enough.)

# %% tags=["task-7.8"]
smallest_limit = ...

check("7.8", smallest_limit, device=device)

# %%
print(
    f"the driver's limit: {device.watchdog_limit:,} cycles; after a reset, the tile is right: "
    f"{devices.gemm_is_right(device)}"
)

# %% [markdown]
# Do real faults hang this device? Those of the array do not: a wrong operand takes as long as a right one. Control
# logic is another matter. In simulation, any flip-flop can be flipped in any clock cycle; here are flips in the
# *sequencer*, which counts steps and tiles, while LeNet-5 runs on a 4 x 4 array.

# %%
wild = axft.inject(
    axft.Config("34P", array="4x4"), site="rtl:core.sequencer.*", faults=60, images=1, seed=0,
    board="rtl", physical="4x4", progress=False, workers=1, out=OUT / "wild",
)  # fmt: skip
wild.frame["status"].value_counts()

# %% [markdown]
# **Task 7.9.** In which flip-flops did flips end in a hang? Give the set of their names, as in the column `site` of
# `wild.frame`. Then look at the bits (column `bit`) and at the widths of these counters: why these, and not the low
# ones?

# %% tags=["task-7.9"]
hung = ...

check("7.9", hung, frame=wild.frame)

# %% [markdown]
# A flipped high bit of a counter makes a command of a few dozen cycles one of thousands. It *would* end. Under
# another window some of these hangs were silent data corruptions: **"hang" is not a property of the fault alone.** A
# table with a column "hang" has to say how long was waited.
#
# ## 4. Outcome or bad luck
#
# A board also fails for reasons that are not the fault: a loose cable, a brown-out, a kernel that kills the process.
# Such a failure must not become an outcome, and the fault must not be lost either. What tells them apart is that **a
# device is deterministic**: what a fault does to it, it does again, at the same place. So after a failure the device
# is brought back, a golden run shows that it is, and the fault is run again:
#
# * if it comes to its end, its result counts, and the failure was the infrastructure's;
# * if it fails in the same way (hang or crash) at the same place as in an earlier run, that is its outcome;
# * otherwise it is run once more; but the fourth failure is the outcome, wherever it was.
#
# **Task 7.10.** Write this as a function. `failures` is the list of the failures of one fault so far, the latest
# last, each a tuple such as `("hang", "layer 0, GEMM 0, command 3")`. Return True if the last one is the fault's
# outcome, and False if the fault has to run again.


# %% tags=["task-7.10"]
def is_outcome(failures):
    last_one_decides = ...
    return last_one_decides


check("7.10", is_outcome)

# %% [markdown]
# Bringing a device back is a ladder, from the mildest remedy to the strongest: soft reset, loading the bitstream
# again, starting the process anew, reboot, power. After each rung a golden run decides whether it has helped.
#
# Three things befall a (simulated) device. "Reload" is to configure the fabric again: all registers begin anew, and
# all wires are where they belong.

# %%
for name, ailment in AILMENTS.items():
    print(f"{name}. {ailment.text}")

# %% [markdown]
# **Task 7.11.** What is the mildest remedy after which the next tile is right: `"nothing"`, `"soft reset"` or
# `"reload"`? Decide before you try; `what_helps("a")` makes it happen.

# %% tags=["task-7.11"]
remedies = {"a": ..., "b": ..., "c": ...}

check("7.11", remedies)

# %% [markdown]
# The recoveries of a campaign are stored beside its results: which fault, what was seen, which rung helped, how long
# it took. In the campaign of part 3:

# %%
wild

# %% [markdown]
# ## 5. What may you conclude?
#
# **Task 7.12.** Which of these hold?
#
# * **a.** If simulated netlist and emulator agree on a fault list, a mistake in the translation of logical faults to
#   the smaller array would have to be one that these faults do not meet.
# * **b.** If they agree, a board with a bitstream of this netlist gives the same outcomes.
# * **c.** The share of hangs of a campaign depends on the observation window.
# * **d.** A fault that hung once, and whose second run came to its end, is a hang in half of the cases, and should be
#   counted as one half.
# * **e.** A watchdog in the fabric brings back a processor that waits for an access to the bus that is never
#   answered.

# %% tags=["task-7.12"]
statements_that_hold = ...

check("7.12", statements_that_hold)

# %% [markdown]
# **For discussion** (no check)
#
# 1. A campaign of 2,401 faults ran on one board over a weekend. All outcomes agree with the emulator. A colleague
#    says: "Then the board was for nothing: the emulator would have said the same in a minute." What has the board
#    shown that the emulator cannot? What would you have learned, had one pair differed?
# 2. `docs/hardware-status.md` lists what of this project nobody has seen on hardware. Choose three entries, and say
#    for each which row of the doctor's table would show that something is wrong there, if any.
#
# ## Further reading
#
# * `docs/guides/board-bring-up.md`: from an SD card to a first injection; what a failing row of the doctor means.
# * `docs/reference/recovery.md`: when a hang or crash is an outcome; the ladder. `docs/reference/regmap.md`: the
#   registers.
# * `docs/concepts/rtl.md`: faults in any flip-flop of the simulated design.
# * `docs/hardware-status.md`: what has not been seen on hardware.

# %%
lab.summary()

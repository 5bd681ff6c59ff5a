"""The executable specification of axft-hw: numbers, time, faults, and a reference that runs them.

It needs the standard library and numpy alone, and imports nothing else of this project. Emulator, gateware and
driver must agree with it bit for bit; ``docs/reference/semantics.md`` says the same in words.
"""

"""A small harness: inputs from a table, any members of the state structure into another one."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence

from .model import CompiledModel, ModelState

__all__ = ["TABLE_HARNESS", "run_table"]

TABLE_HARNESS = r"""
typedef struct { uint64_t offset, bytes; } axft_column;
/* Each cycle: inputs from a row of `stimulus`, eval, what `outputs` names into a row of `record`, commit. */
AXFT_EXPORT void axft_table_run(axft_model *m, uint64_t cycles, uint64_t input_count, const axft_column *inputs,
                                const uint8_t *stimulus, uint64_t output_count, const axft_column *outputs,
                                uint8_t *record)
{
    for (uint64_t cycle = 0; cycle < cycles; cycle++) {
        for (uint64_t k = 0; k < input_count; k++) {
            memcpy((uint8_t *)m + inputs[k].offset, stimulus, inputs[k].bytes);
            stimulus += inputs[k].bytes;
        }
        axft_model_eval(m);
        for (uint64_t k = 0; k < output_count; k++) {
            memcpy(record, (uint8_t *)m + outputs[k].offset, outputs[k].bytes);
            record += outputs[k].bytes;
        }
        axft_model_commit(m);
    }
}
"""


class _Column(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("bytes", ctypes.c_uint64))


def _bytes(width: int) -> int:
    return 1 if width <= 8 else 2 if width <= 16 else 4 if width <= 32 else -(-width // 64) * 8


def run_table(
    state: ModelState,
    stimulus: Sequence[Mapping[str, int]],
    watch: Sequence[str],
    *,
    inputs: Sequence[str] | None = None,
) -> list[dict[str, int]]:
    """Run a model built with `TABLE_HARNESS` for a cycle per row.

    Parameters
    ----------
    state : ModelState
        The machine; it goes on from where it is.
    stimulus : sequence of mappings
        For each cycle the inputs by their names without prefix; those left out are 0.
    watch : sequence of str
        Ports (``out_x``), flip-flops and memories (all their words as one value) to record.
    inputs : sequence of str, optional
        Inputs that have a column; all if left out.

    Returns
    -------
    list of dict
        What `watch` names, before each clock edge.
    """
    model: CompiledModel = state.model
    names = list(inputs) if inputs is not None else [name[3:] for name in model.ports if name.startswith("in_")]
    columns = [(model.ports[f"in_{name}"][1], _bytes(model.ports[f"in_{name}"][0])) for name in names]
    data = bytearray()
    for row in stimulus:
        for name, (_, size) in zip(names, columns, strict=True):
            data += row.get(name, 0).to_bytes(size, "little")
    outputs = []
    for name in watch:
        if name in model.ports:
            outputs.append((model.ports[name][1], _bytes(model.ports[name][0])))
        else:
            entry = model.entry(name)
            outputs.append((entry.offset, entry.depth * entry.stride if entry.stride else _bytes(entry.width)))
    length = sum(size for _, size in outputs)
    record = ctypes.create_string_buffer(max(length * len(stimulus), 1))
    given = (ctypes.c_uint8 * len(data)).from_buffer(data) if data else None
    model.library.axft_table_run(
        ctypes.c_void_p(state.address),
        ctypes.c_uint64(len(stimulus)),
        ctypes.c_uint64(len(columns)),
        (_Column * len(columns))(*(_Column(*column) for column in columns)),
        given,
        ctypes.c_uint64(len(outputs)),
        (_Column * len(outputs))(*(_Column(*column) for column in outputs)),
        record,
    )
    rows = []
    raw = record.raw
    position = 0
    for _ in stimulus:
        row = {}
        for name, (_, size) in zip(watch, outputs, strict=True):
            row[name] = int.from_bytes(raw[position : position + size], "little")
            position += size
        rows.append(row)
    return rows

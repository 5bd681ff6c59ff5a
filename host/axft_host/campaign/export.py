"""Results as tables for other programs."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from axft_host.campaign.schema import FAULT_COLUMNS
from axft_host.campaign.store import ResultStore
from axft_spec.errors import StoreError, exists_message, how_to_install

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fault_rows", "fault_table", "recovery_rows", "write_csv", "write_parquet"]

# Of the outcome codes 0 to 3.
_LETTERS = "MTC-"


def fault_rows(result: Path) -> list[dict[str, Any]]:
    """Return one record per fault, in the order of the list.

    Parameters
    ----------
    result : Path
        A store, or its directory.

    Returns
    -------
    list of dict
        The columns of the store's table ``faults``, with the text form of the fault in `fault`, and in
        `outcomes` one letter per image: M, T, C, or - for no result.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with ResultStore.open(result) as store:
        images = len(store.golden().labels)
        records = []
        for row in store.rows():
            record = dict(zip(FAULT_COLUMNS, row.to_sql(), strict=True))
            record["fault"] = str(row.fault)
            record["outcomes"] = "".join(_LETTERS[code] for code in row.outcomes(images))
            records.append(record)
    return records


def recovery_rows(result: Path) -> list[dict[str, Any]]:
    """Return one record per recovery: `session`, `idx` of its fault or None, and the members of a `Recovery`.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with ResultStore.open(result) as store:
        return [{"session": each.session, "idx": each.index, **each.recovery.to_json()} for each in store.recoveries()]


def fault_table(result: Path) -> pd.DataFrame:
    """Return `fault_rows` as a table; the numbers of a window are missing where the fault is permanent."""
    import pandas as pd

    table = pd.DataFrame(fault_rows(result), columns=list(FAULT_COLUMNS))
    # Nullable integers: a permanent fault has no cycle, which must not turn all cycles into floats.
    return table.astype(dict.fromkeys(("layer", "gemm", "tile", "first_cycle", "cycles"), "Int64"))


def write_csv(result: Path, target: Path | IO[str]) -> int:
    """Write one row per fault as CSV; return how many.

    Parameters
    ----------
    result : Path
        A store, or its directory.
    target : Path or text file
        A new file, or one that is open.

    Raises
    ------
    StoreError
        If the store cannot be read, or the file exists (it stays as it is) or cannot be written.
    """
    table = fault_table(result)
    if not isinstance(target, Path):
        table.to_csv(target, index=False)
        return len(table)
    try:
        with target.open("x", encoding="utf-8", newline="") as file:
            table.to_csv(file, index=False)
    except FileExistsError:
        raise StoreError(exists_message(target)) from None
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from None
    return len(table)


def write_parquet(result: Path, target: Path) -> int:
    """Write one row per fault as Parquet, with what `write_csv` writes; return how many.

    The file's own metadata hold the table `meta` of the store, as JSON, under the key ``axft``, and `recovery_rows`
    under ``axft_recoveries`` if there are any.

    Parameters
    ----------
    result : Path
        A store, or its directory.
    target : Path
        A new file.

    Raises
    ------
    StoreError
        If pyarrow is not installed, the store cannot be read, or the file exists (it stays as it is) or cannot be
        written.
    """
    try:
        # Not known to type checkers everywhere, and not on every machine.
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise StoreError(
            f"Parquet needs pyarrow, which is not installed; {how_to_install('parquet')}, or export --csv"
        ) from None
    table = arrow.Table.from_pandas(fault_table(result), preserve_index=False)
    with ResultStore.open(result) as store:
        metadata = {b"axft": json.dumps(store.meta()).encode()}
    if recoveries := recovery_rows(result):
        metadata[b"axft_recoveries"] = json.dumps(recoveries).encode()
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})
    try:
        with target.open("xb") as file:
            parquet.write_table(table, file)
    except FileExistsError:
        raise StoreError(exists_message(target)) from None
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror or error}") from None
    return len(table)

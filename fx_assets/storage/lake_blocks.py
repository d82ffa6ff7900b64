"""One commit of blocks: a file for each, and one without rows that carries the state of the asset.

The state has a file of its own because no block could keep it: it says what all blocks are, so it is known after
the last of them is written; and a block may be replaced or removed later, which must not take the state along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pyarrow as pa

from fx_assets.storage import lake_log
from fx_assets.storage.errors import WriteFailed
from fx_assets.storage.lake_files import canonical_schema, encode
from fx_assets.storage.lake_log import NewFile, OpenTable
from fx_assets.storage.lake_prepared import Prepared
from fx_assets.storage.lake_rows import (
    block_hashes,
    check_block,
    check_schema,
    check_state,
    content_name,
    own_rows,
    state_block,
)
from fx_assets.storage.records import State
from fx_assets.storage.table_hashing import table_hash

StateOf = Callable[[Mapping[str, str]], State]


class BlockCommit:
    """Blocks of one pair on their way into the log; `Lake.write_blocks` says what is promised."""

    def __init__(self, table: str, pair: str, folder: Path, prepared: Prepared, state_of: StateOf) -> None:
        self._table, self._pair, self._folder = table, pair, folder
        self._prepared = prepared
        self._state_of = state_of
        self._schema: pa.Schema | None = None
        self._given: dict[str, str | None] = {}  # block -> content hash, None where it is to be removed
        self._blocks: list[NewFile] = []
        self._after: dict[str, str] = {}
        self._state: State | None = None
        self._state_file: NewFile | None = None

    def take(self, blocks: Iterable[tuple[str, pa.Table]]) -> None:
        """Write each block and forget its rows before the next is asked for."""
        opened = lake_log.open_table(self._folder)
        if opened is not None:
            self._schema = canonical_schema(opened.schema, self._table)
        for name, data in blocks:
            self._write(name, data)
            del data  # else two blocks were in memory while the next one is made
        if self._schema is None:
            raise ValueError(
                f"no block was given for {self._table}, which does not exist yet: give one, be it without rows, "
                f"so that its columns are known"
            )
        if "block" not in self._schema.names:
            raise ValueError(f"{self._table} in {self._folder} is not kept in blocks: commit to it with Lake.write")

    def state(self) -> None:
        """Write the state after this commit, unless the one already written is still true."""
        current = self._current()
        after = self._hashes_after(current)
        if self._stands(current) or (self._state_file is not None and after == self._after):
            return
        if self._state_file is not None:
            self._prepared.withdraw([self._state_file])
            self._state_file = None
        state = self._state_of(dict(after))
        check_state(self._table, self._pair, state)
        assert self._schema is not None
        name, content = encode(self._schema.empty_table().drop_columns(["pair", "block"]), state)
        block = state_block(state.asset)
        self._state_file = self._prepared.add(self._path(block, name), content, rows=0, block=block)
        self._state, self._after = state, after

    def entry(self, current: OpenTable) -> int:
        """Put the log entry; Contended where the state is not true of `current` any more."""
        if self._stands(current):
            return current.version  # the lost race was won after all, and the answer lost
        assert self._schema is not None
        assert self._state is not None
        assert self._state_file is not None
        assert self._state_file.block is not None
        check_schema(self._table, self._schema, current.schema, self._folder)
        if self._hashes_after(current) != self._after:
            raise lake_log.Contended("another writer changed other blocks of the pair")
        files = [*self._blocks, self._state_file]
        replaced = {*self._given, self._state_file.block}
        note = {"asset": self._state.asset, "runId": self._state.run_id}
        return lake_log.commit(current, self._pair, files, "replace", note, replaced)

    def _write(self, name: str, data: pa.Table) -> None:
        check_block(name)
        if name in self._given:
            raise ValueError(
                f"block {name} of {self._table} of {self._pair} was given twice: give all its rows at once"
            )
        rows = own_rows(self._table, self._pair, data, name)
        if self._schema is None:
            lake_log.create(self._folder, rows.schema)
            self._schema = canonical_schema(self._current().schema, self._table)
        check_schema(self._table, rows.schema, self._schema, self._folder)
        if len(rows) == 0:
            self._given[name] = None
            return
        rows = rows.drop_columns(["pair", "block"])
        digest = table_hash(rows)
        sha_name, content = encode(rows, None)
        path = self._path(name, content_name(digest, sha_name))
        self._blocks.append(self._prepared.add(path, content, rows=len(rows), block=name))
        self._given[name] = block_hashes([(name, path)])[name]

    def _path(self, block: str, name: str) -> str:
        return f"pair={self._pair}/block={block}/{name}"

    def _current(self) -> OpenTable:
        current = lake_log.open_table(self._folder)
        if current is None:
            raise WriteFailed(f"{self._folder} was removed while it was written to; run again")
        return current

    def _hashes_after(self, current: OpenTable) -> dict[str, str]:
        held = block_hashes([(f.block, f.path) for f in current.files if f.pair == self._pair and f.block is not None])
        others = {name: value for name, value in held.items() if name not in self._given}
        given = {name: value for name, value in self._given.items() if value is not None}
        return dict(sorted((others | given).items()))

    def _stands(self, current: OpenTable) -> bool:
        own = {file.path for file in self._blocks}
        if self._state_file is not None:
            own.add(self._state_file.path)
        return any(file.path in own for file in current.files)

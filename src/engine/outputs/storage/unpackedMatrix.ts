import { int, ints, type GraphBuilder } from '../../graph/builder';
import type { Value } from '../../graph/graph';
import type { StoredPieces, StoredTensor } from './storedTensor';

/** The runtime folds constants below 1 GiB; a larger result would be unpacked in every run. */
const foldLimit = 2 ** 30;

/** Rows `from` to `to` of a matrix, unpacked as one constant. */
export interface MatrixPart {
  readonly from: number;
  readonly to: number;
}

/** Cuts a matrix by rows so that no part's float32 values, filled up by a group at each end, reach the limit. */
export function matrixParts(rows: number, columns: number, limit = foldLimit): readonly MatrixPart[] {
  const most = Math.max(1, Math.ceil((limit * 0.9) / Math.max(1, columns * 4)) - 1);
  const count = Math.max(1, Math.ceil(rows / most));
  const size = Math.ceil(rows / count);
  return Array.from({ length: count }, (_, part) => ({ from: Math.min(part * size, rows), to: Math.min((part + 1) * size, rows) })).filter(
    ({ from, to }, part) => part === 0 || to > from,
  );
}

/**
 * The uses of a weight that a graph rebuilds as a matrix: `unpack` gives float32 [rows of the part, columns], or with `turned` [columns, rows of the part],
 * which may be cheaper than turning it afterwards. A graph rebuilds a part once, however many nodes use it.
 */
export function matrixUses<Part extends MatrixPart>(
  rows: number,
  columns: number,
  parts: readonly Part[],
  unpack: (build: GraphBuilder, stored: StoredPieces, part: Part, turned: boolean) => Value,
): Pick<StoredTensor, 'linear' | 'gather' | 'dense' | 'matrix' | 'largerThanFolds'> {
  const made = new WeakMap<GraphBuilder, readonly Value[]>();
  const madeTurned = new WeakMap<GraphBuilder, readonly Value[]>();
  const partsIn = (build: GraphBuilder, stored: StoredPieces): readonly Value[] => {
    const known = made.get(build) ?? parts.map((part) => unpack(build, stored, part, false));
    made.set(build, known);
    return known;
  };
  const turnedParts = (build: GraphBuilder, stored: StoredPieces): readonly Value[] => {
    // Where the rows are there already, turning them is cheaper than unpacking again.
    const rowsFirst = made.get(build);
    const known =
      madeTurned.get(build) ??
      (rowsFirst
        ? rowsFirst.map((value) => build.op('Transpose', [value], { perm: ints([1, 0]) }))
        : parts.map((part) => unpack(build, stored, part, true)));
    madeTurned.set(build, known);
    return known;
  };
  const matrix = (build: GraphBuilder, stored: StoredPieces): Value => {
    const all = partsIn(build, stored);
    return all.length === 1 ? (all[0] as Value) : build.op('Concat', all, { axis: int(0) });
  };
  return {
    matrix,
    dense: (build, stored) => {
      const all = turnedParts(build, stored);
      return all.length === 1 ? (all[0] as Value) : build.op('Concat', all, { axis: int(1) });
    },
    linear: (build, stored, x) => {
      const outputs = turnedParts(build, stored).map((part) => build.op('MatMul', [x, part]));
      return outputs.length === 1 ? (outputs[0] as Value) : build.op('Concat', outputs, { axis: int(-1) });
    },
    gather: (build, stored, ids) => gatherRows(build, partsIn(build, stored), parts, ids),
    largerThanFolds: parts.length > 1,
  };
}

/** Rows by number from parts: every part returns a row, and that of the part that contains it is used. */
function gatherRows(build: GraphBuilder, values: readonly Value[], parts: readonly MatrixPart[], ids: Value): Value {
  let rows: Value | undefined;
  for (const [index, { from, to }] of parts.entries()) {
    if (values.length === 1) return build.op('Gather', [values[0], ids], { axis: int(0) });
    const local = build.op('Sub', [ids, build.int64([from])]);
    const inside = build.op('Min', [build.op('Max', [local, build.int64([0])]), build.int64([to - from - 1])]);
    const taken = build.op('Gather', [values[index], inside], { axis: int(0) });
    if (rows === undefined) rows = taken;
    else {
      const here = build.op('GreaterOrEqual', [ids, build.int64([from])]);
      rows = build.op('Where', [build.op('Unsqueeze', [here, build.int64([-1])]), taken, rows]);
    }
  }
  return rows as Value;
}

/** Turns a matrix where that is asked for. */
export function turnedIf(build: GraphBuilder, value: Value, turned: boolean): Value {
  return turned ? build.op('Transpose', [value], { perm: ints([1, 0]) }) : value;
}

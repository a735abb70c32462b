import { defineHostTask, type HostTask } from '../../../kernels/host/threads/hostTask';
import type { HostThreads } from '../../../kernels/host/threads/hostThreads';
import { isShared } from '../../../kernels/host/threads/sharedMemory';
import { turnedRows } from './matrixRows';
import type { QuantizedMatrix } from '../../../outputs/planned/plannedTensor';
import { matrixOf } from './roundGroups';
import { placeTensor, rangeOfRows, roundRows, type RoundingOptions, type RoundingTarget } from './roundRows';

/** Weights that one piece of work holds: some milliseconds on one thread, so that threads end together and messages cost nothing beside it. */
const usualPiece = 2 ** 18;

/** How work on threads is cut and ended. */
export interface SendingOptions {
  readonly signal?: AbortSignal | undefined;
  /** Weights of a piece of work; less than one piece is done on the calling thread. Default: 2^18. */
  readonly pieceWeights?: number;
}

/** A matrix to be rounded: what `roundGroups` takes. */
export interface MatrixToRound {
  readonly name: string;
  readonly weights: Float32Array;
  readonly rows: number;
  readonly columns: number;
  readonly options: RoundingOptions;
}

/** A rounded matrix and how far it is from its weights. */
export interface RoundedMatrix {
  readonly matrix: QuantizedMatrix;
  /** Norm of the error divided by the norm of the weights; 0 for weights that are all zero. As `relativeErrorOf`. */
  readonly relativeError: number;
}

/** Some rows of a matrix. */
interface Rows {
  readonly target: RoundingTarget;
  readonly from: number;
  readonly to: number;
}

/** Rounds rows of one or several matrices; gives each row's sum of squared errors and of squared weights. */
export const roundRowsTask = defineHostTask({
  name: 'round-rows',
  run: (pieces: readonly Rows[]): Float64Array => {
    const sums = new Float64Array(2 * pieces.reduce((count, { from, to }) => count + to - from, 0));
    let done = 0;
    for (const { target, from, to } of pieces) {
      roundRows(target, from, to, sums.subarray(done, done + 2 * (to - from)));
      done += 2 * (to - from);
    }
    return sums;
  },
});

/** Least and largest weight of rows, for one range over a whole tensor. */
export const rangeOfRowsTask = defineHostTask({
  name: 'range-of-rows',
  run: ({ target, from, to }: Rows) => rangeOfRows(target, from, to),
});

/** Scale and zero point of a whole tensor. A clipping search adds errors up over all weights, so it is one piece of work. */
export const placeTensorTask = defineHostTask({
  name: 'place-tensor',
  run: ({ target, low, high }: { readonly target: RoundingTarget; readonly low: number; readonly high: number }) =>
    placeTensor(target, low, high),
});

/**
 * `roundGroups` on all threads of a job: the same bytes and the same errors for any number of threads, because rows do not depend on each other.
 * `weights` and `options.codes` in shared memory (`sharedFloat32`) are worked on where they are; others are copied there and back.
 * Errors: those of `roundGroups`, at the same position; `cancelled`.
 */
export async function roundGroupsOnThreads(
  threads: HostThreads,
  name: string,
  weights: Float32Array,
  rows: number,
  columns: number,
  options: RoundingOptions,
  sending: SendingOptions = {},
): Promise<QuantizedMatrix> {
  const [rounded] = await roundMatricesOnThreads(threads, [{ name, weights, rows, columns, options }], sending);
  return rounded!.matrix;
}

/**
 * Rounds several matrices together, so that many small ones cost no message each, and measures their errors on the way. Results in the order of the
 * matrices; where several fail, the error of the first. What is not in shared memory is held there a second time meanwhile.
 */
export async function roundMatricesOnThreads(
  threads: HostThreads,
  matrices: readonly MatrixToRound[],
  sending: SendingOptions = {},
): Promise<readonly RoundedMatrix[]> {
  const results: RoundedMatrix[] = [];
  for (const group of inGroups(matrices)) results.push(...(await roundGroup(threads, group, sending)));
  return results;
}

/** A matrix with one range needs its own pass before it can be rounded; the others go together. */
function inGroups(matrices: readonly MatrixToRound[]): readonly (readonly MatrixToRound[])[] {
  const groups: MatrixToRound[][] = [];
  const isAlone = ({ options }: MatrixToRound) => options.granularity === 'tensor';
  for (const matrix of matrices) {
    const last = groups.at(-1);
    if (last === undefined || isAlone(matrix) || isAlone(last[0]!)) groups.push([matrix]);
    else last.push(matrix);
  }
  return groups;
}

async function roundGroup(
  threads: HostThreads,
  matrices: readonly MatrixToRound[],
  { signal, pieceWeights = usualPiece }: SendingOptions,
): Promise<readonly RoundedMatrix[]> {
  // A single piece of work is done here: a message would cost more than it saves.
  const weights = matrices.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  const sends = threads.parallel && weights > pieceWeights;
  const memory = sends ? threads.scratch.take(matrices.reduce((sum, matrix) => sum + sharedBytesOf(matrix), 0)) : undefined;
  const arena = memory && new Arena(memory);
  const targets = matrices.map((matrix) => (arena ? sharedTarget(matrix, arena) : ownTarget(matrix)));
  const run = <Input, Output>(task: HostTask<Input, Output>, inputs: readonly Input[]) =>
    sends ? threads.run(task, inputs, signal) : threads.runHere(task, inputs, signal);
  const pieces = targets.flatMap((target) => rowsOf(target, pieceWeights));
  if (targets[0]?.options.granularity === 'tensor') {
    const ranges = await run(rangeOfRowsTask, pieces);
    const low = ranges.reduce((least, [lowest]) => Math.min(least, lowest), 0);
    const high = ranges.reduce((most, [, highest]) => Math.max(most, highest), 0);
    await run(placeTensorTask, [{ target: targets[0], low, high }]);
  }
  const sums = await run(roundRowsTask, joined(pieces, pieceWeights));
  const errors = relativeErrors(targets, sums);
  const results = targets.map((target, index) => ({
    matrix: memory ? outOfSharedMemory(target, matrices[index]!) : matrixOf(target),
    relativeError: errors[index]!,
  }));
  // After an error other threads may still be writing to it: then it is left to the garbage collector.
  if (memory) threads.scratch.giveBack(memory);
  return results;
}

/** A target in memory of this thread. */
function ownTarget({ options, rows, columns, ...matrix }: MatrixToRound): RoundingTarget {
  const groups = rows * options.groupsPerRow;
  return {
    ...matrix,
    rows,
    columns,
    options,
    codes: options.codes ?? new Uint8Array(rows * columns),
    scales: new Float32Array(groups),
    zeroPoints: new Uint8Array(groups),
  };
}

/** Bytes of shared memory that `sharedTarget` takes. */
function sharedBytesOf({ weights, rows, columns, options }: MatrixToRound): number {
  const groups = rows * options.groupsPerRow;
  const entries = (isShared(weights) ? 0 : 4 * weights.length) + (options.codes && isShared(options.codes) ? 0 : rows * columns);
  return entries + 5 * groups + 4 * (options.importance?.length ?? 0) + 5 * alignment;
}

/** A target that holds views of shared memory only: nothing of it is copied on the way to a worker. */
function sharedTarget({ name, weights, rows, columns, options }: MatrixToRound, arena: Arena): RoundingTarget {
  const { codes, importance, ...settings } = options;
  const groups = rows * options.groupsPerRow;
  return {
    name,
    rows,
    columns,
    weights: isShared(weights) ? weights : arena.copyOf(weights),
    options: importance ? { ...settings, importance: arena.copyOf(importance) } : settings,
    codes: codes && isShared(codes) ? codes : arena.bytes(rows * columns),
    scales: arena.float32(groups),
    zeroPoints: arena.bytes(groups),
  };
}

/** The finished matrix in memory of this thread; codes stay where the caller wanted them. */
function outOfSharedMemory(target: RoundingTarget, { options: { codes } }: MatrixToRound): QuantizedMatrix {
  if (codes && codes.buffer !== target.codes.buffer) codes.set(target.codes);
  return matrixOf({
    ...target,
    codes: codes ?? target.codes.slice(),
    scales: target.scales.slice(),
    zeroPoints: target.zeroPoints.slice(),
  });
}

const alignment = 8;

/** Arrays one after the other in one buffer. */
class Arena {
  private position = 0;

  constructor(private readonly memory: SharedArrayBuffer) {}

  bytes(length: number): Uint8Array {
    return new Uint8Array(this.memory, this.advance(length), length);
  }

  float32(length: number): Float32Array {
    return new Float32Array(this.memory, this.advance(4 * length), length);
  }

  copyOf(values: Float32Array): Float32Array {
    const copy = this.float32(values.length);
    copy.set(values);
    return copy;
  }

  private advance(bytes: number): number {
    const start = this.position;
    this.position += Math.ceil(bytes / alignment) * alignment;
    return start;
  }
}

/** A target's rows in stretches of about `pieceWeights`. */
function rowsOf(target: RoundingTarget, pieceWeights: number): readonly Rows[] {
  const { rows, columns, options } = target;
  const unit = options.transposed ? turnedRows : 1;
  const step = Math.max(1, Math.floor(pieceWeights / Math.max(1, columns) / unit)) * unit;
  return Array.from({ length: Math.ceil(rows / step) }, (_, index) => ({
    target,
    from: index * step,
    to: Math.min((index + 1) * step, rows),
  }));
}

/** Stretches of rows joined, in their order, to pieces of work of about `pieceWeights`. */
function joined(stretches: readonly Rows[], pieceWeights: number): readonly (readonly Rows[])[] {
  const pieces: Rows[][] = [];
  let room = 0;
  for (const stretch of stretches) {
    const weights = (stretch.to - stretch.from) * stretch.target.columns;
    if (pieces.length === 0 || weights > room) {
      pieces.push([]);
      room = pieceWeights;
    }
    pieces.at(-1)!.push(stretch);
    room -= weights;
  }
  return pieces;
}

/** Relative errors from the sums of all rows, in the order of the rows. */
function relativeErrors(targets: readonly RoundingTarget[], pieces: readonly Float64Array[]): readonly number[] {
  const sums = pieces.flatMap((piece) => [...piece]);
  let place = 0;
  return targets.map(({ rows }) => {
    let [error, norm] = [0, 0];
    for (const end = place + 2 * rows; place < end; place += 2) {
      error += sums[place]!;
      norm += sums[place + 1]!;
    }
    return norm === 0 ? 0 : Math.sqrt(error / norm);
  });
}

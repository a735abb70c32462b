import type { DType } from '../../../protocol/dtypes';
import { planesOf, type Plane } from '../../kernels/host/packBits';
import type { MatrixLayout } from '../planned/plannedTensor';

/** What a piece must be, from its layout. */
export interface PieceType {
  /** Any of these types; the shape is the same for all. */
  readonly dtypes: readonly DType[];
  readonly shape: readonly number[];
}

/** Types of all pieces of a tensor by the ending of their name. */
export type PieceTypes = Readonly<Record<string, PieceType>>;

/**
 * What a node of the graph shows of a layout where types and shapes of the pieces are the same for several layouts: going on from `piece`, there is a node of type `op` with
 * these integer attributes (absent ones count as 0) and, if given, with a constant input that holds these numbers.
 */
export interface Trace {
  readonly piece: string;
  readonly op: string;
  readonly attributes?: Readonly<Record<string, number>>;
  readonly constant?: readonly number[];
}

/** Stored pieces and the layout that a report states for them contradict each other. */
export class LayoutMismatch extends Error {
  override readonly name = 'LayoutMismatch';

  constructor(
    /** What does not fit. */
    readonly subject: string,
    readonly expected: string,
    readonly got: string,
  ) {
    super(`${subject}: the layout needs ${expected}, the file has ${got}`);
  }
}

/** Refuses pieces of other types than the layout's, and pieces too many or too few. Errors: `LayoutMismatch`. */
export function checkPieces(
  expected: PieceTypes,
  pieces: Readonly<Record<string, { readonly dtype: DType; readonly shape: readonly number[] }>>,
): void {
  const listed = (names: readonly string[]) => [...names].sort().join(', ');
  const [needed, found] = [listed(Object.keys(expected)), listed(Object.keys(pieces))];
  if (needed !== found) throw new LayoutMismatch('pieces', needed, found);
  for (const [name, { dtypes, shape }] of Object.entries(expected)) {
    const { dtype, shape: stored } = pieces[name]!;
    if (!dtypes.includes(dtype) || shape.join() !== stored.join())
      throw new LayoutMismatch(name, `${dtypes.join(' or ')} [${shape.join(', ')}]`, `${dtype} [${stored.join(', ')}]`);
  }
}

/** A packed plane of `count` codes: 4 bits as UINT4 where `nibbles`, everything else as bytes. */
export function planeType(plane: Plane, count: number, nibbles = true): PieceType {
  return nibbles && plane.width === 4
    ? { dtypes: ['uint4'], shape: [count] }
    : { dtypes: ['uint8'], shape: [Math.ceil((count * plane.width) / 8)] };
}

/** Planes of `count` codes of a width, by `<prefix>plane<shift>`. */
export function planeTypes(prefix: string, bits: number, count: number, nibbles = true): PieceTypes {
  return Object.fromEntries(planesOf(bits).map((plane) => [`${prefix}plane${plane.shift}`, planeType(plane, count, nibbles)]));
}

/** Scales of that shape and, unless symmetric, zero points: whole ones in `whole`, those between the levels in the type of the scales. */
export function scaleTypes(
  prefix: string,
  { symmetric, scaleDType, zeroPointsAreFloat }: MatrixLayout,
  shape: readonly number[],
  whole: DType,
): PieceTypes {
  const scales = { dtypes: [scaleDType], shape };
  return {
    [`${prefix}scales`]: scales,
    ...(symmetric ? {} : { [`${prefix}zeros`]: zeroPointsAreFloat ? scales : { dtypes: [whole], shape } }),
  };
}

/** Refuses codes beyond a width that are stored in a wider type. Errors: `LayoutMismatch`. */
export function checkCodes(codes: Uint8Array, bits: number): void {
  const levels = 2 ** bits;
  let largest = 0;
  for (let index = 0; index < codes.length; index += 1) if ((codes[index] as number) > largest) largest = codes[index] as number;
  if (largest >= levels) throw new LayoutMismatch('codes', `codes of ${bits} bits`, `the code ${largest}`);
}

/** Refuses values repeated over the blocks of a row, [rows, blocks], that differ: the rows have several groups then. Errors: `LayoutMismatch`. */
export function checkRepeated(values: Float32Array | Uint8Array, rows: number, blocks: number, subject: string): void {
  for (let row = 0; row < rows; row += 1)
    for (let block = 1; block < blocks; block += 1)
      if (!Object.is(values[row * blocks + block], values[row * blocks]))
        throw new LayoutMismatch(subject, 'one value a row', `several in row ${row}`);
}

/** The size of groups as the shape of a Reshape states it. */
export function groupTrace(piece: string, shape: readonly number[]): Trace {
  return { piece, op: 'Reshape', constant: shape };
}

/** The group of each column, as a Gather of scales states it. */
export function columnGroups({ columns, groupSize }: Pick<MatrixLayout, 'columns' | 'groupSize'>): Int32Array {
  return Int32Array.from({ length: columns }, (_, column) => Math.floor(column / groupSize));
}

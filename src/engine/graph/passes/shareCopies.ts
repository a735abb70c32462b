import { floatDTypes } from '../../../protocol/dtypes';
import { ints } from '../builder';
import type { Graph, Node, Value } from '../graph';
import type { ConstantData } from '../types';
import { valuesUsedBy } from './prune';

/** Smaller tensors may be equal by chance, such as biases that were never trained. */
const leastElements = 64;

/** A constant that is replaced by another one. */
export interface SharedCopy {
  /** Name of the constant that is kept. */
  readonly original: string;
  /** True if the copy contained its transpose. */
  readonly transposed: boolean;
}

/**
 * The graph with one constant for each matrix that is stored twice, unchanged or transposed: exporters write a tied output matrix as a
 * transposed copy of the embedding, and training would let the two diverge. The first one, or its Transpose, replaces each copy. Only float
 * matrices in memory are compared; those whose elements are all equal are ambiguous and left alone. Returns the copies by name.
 */
export function shareCopies(graph: Graph): { readonly graph: Graph; readonly copies: ReadonlyMap<string, SharedCopy> } {
  const seen = new Map<string, Matrix[]>();
  const added: Node[] = [];
  const replaced = new Map<Value, Value>();
  // Constants that bodies capture, or that are graph outputs, keep their name.
  const shielded = new Set([...graph.outputs, ...graph.nodes.flatMap((node) => valuesUsedBy({ ...node, inputs: [] }))]);
  const copies = new Map<string, SharedCopy>();
  const constants = new Map(graph.constants);
  for (const [value, data] of graph.constants) {
    const matrix = matrixOf(value, data);
    if (matrix === undefined) continue;
    const alike = seen.get(matrix.fingerprint) ?? [];
    seen.set(matrix.fingerprint, alike);
    const same = alike.find((other) => isSame(matrix, other));
    const original = same ?? alike.find((other) => isTransposed(matrix, other));
    if (original === undefined) {
      alike.push(matrix);
      continue;
    }
    const transposed = same === undefined;
    constants.delete(value);
    copies.set(value.name, { original: original.value.name, transposed });
    if (!transposed && !shielded.has(value)) {
      replaced.set(value, original.value);
      continue;
    }
    added.push({
      ...(transposed ? { op: 'Transpose', attributes: { perm: ints([1, 0]) } } : { op: 'Identity', attributes: {} }),
      domain: '',
      name: `${value.name}/shared`,
      inputs: [original.value],
      outputs: [value],
    });
  }
  if (copies.size === 0) return { graph, copies };
  const nodes = graph.nodes.map((node) =>
    node.inputs.some((input) => input && replaced.has(input))
      ? { ...node, inputs: node.inputs.map((input) => input && (replaced.get(input) ?? input)) }
      : node,
  );
  // Before all other nodes: bodies capture the replacements as they did the copies.
  return { graph: { ...graph, constants, nodes: [...added, ...nodes] }, copies };
}

/** A float matrix as bit patterns. */
interface Matrix {
  readonly value: Value;
  readonly rows: number;
  readonly columns: number;
  readonly bits: Uint32Array | Uint16Array;
  /** Equal for matrices with the same entries in any order, so that most pairs need no comparison of entries. */
  readonly fingerprint: string;
}

function matrixOf(value: Value, data: ConstantData): Matrix | undefined {
  const [rows = 0, columns = 0] = data.shape;
  const count = rows * columns;
  if (data.kind !== 'inline' || !floatDTypes.includes(data.dtype) || data.shape.length !== 2 || count < leastElements) return undefined;
  const width = data.bytes.byteLength / count;
  if (width !== 2 && width !== 4) return undefined;
  // The bytes may start at any offset of a file; copy only those that are not aligned for a typed array.
  const { buffer, byteOffset } = data.bytes.byteOffset % width === 0 ? data.bytes : new Uint8Array(data.bytes);
  const bits = width === 4 ? new Uint32Array(buffer, byteOffset, count) : new Uint16Array(buffer, byteOffset, count);
  let sum = 0;
  let mixed = 0;
  let changes = false;
  for (const word of bits) {
    sum = (sum + word) | 0;
    mixed ^= Math.imul(word, 0x9e3779b1) >>> 15;
    changes ||= word !== bits[0];
  }
  return changes ? { value, rows, columns, bits, fingerprint: `${data.dtype} ${count} ${sum} ${mixed}` } : undefined;
}

function isSame({ rows, columns, bits }: Matrix, other: Matrix): boolean {
  return rows === other.rows && columns === other.columns && bits.every((word: number, at: number) => word === other.bits[at]);
}

function isTransposed({ rows, columns, bits }: Matrix, other: Matrix): boolean {
  if (rows !== other.columns || columns !== other.rows) return false;
  return bits.every((word: number, at: number) => word === other.bits[(at % columns) * rows + Math.floor(at / columns)]);
}

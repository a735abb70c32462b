import { createHash } from 'node:crypto';
import { floatDTypes } from '../../../protocol/dtypes';
import { GraphBuilder, ints } from '../builder';
import type { Graph, Value } from '../graph';
import type { OperatorTable } from '../operator';
import type { ConstantData } from '../types';
import { inlineGraph } from './inline';

/** Smaller tensors may be equal by chance, as biases that were never trained. */
const leastElements = 64;

type Inline = Extract<ConstantData, { kind: 'inline' }>;

/**
 * The graph with one constant for each matrix that it holds twice, as it is or transposed: exporters write a tied output matrix as a
 * transposed copy of the embedding, and training would let the two drift apart. Only float matrices in memory are compared; such whose
 * elements are all equal say nothing and are left alone. Gives the names that are gone, each with the constant that stands for it.
 */
export function shareCopies(
  graph: Graph,
  operators: OperatorTable,
): { readonly graph: Graph; readonly copies: ReadonlyMap<string, string> } {
  const originals = new Map<string, Value>();
  const found = new Map<Value, { readonly original: Value; readonly transposed: boolean }>();
  for (const [value, data] of graph.constants) {
    if (data.kind !== 'inline' || !floatDTypes.includes(data.dtype) || data.shape.length !== 2 || isUniform(data)) continue;
    const own = keyOf(data, data.bytes, data.shape);
    const turned = keyOf(data, transposedBytes(data), [...data.shape].reverse());
    const same = originals.get(own);
    const other = originals.get(turned);
    if (same !== undefined) found.set(value, { original: same, transposed: false });
    else if (other !== undefined) found.set(value, { original: other, transposed: true });
    else originals.set(own, value);
  }
  if (found.size === 0) return { graph, copies: new Map() };
  const build = new GraphBuilder(operators, graph.name, graph.opsets['']);
  const substitutes = new Map<string, Value>();
  for (const input of graph.inputs) if (!graph.constants.has(input)) substitutes.set(input.name, build.input(input.name, input.type));
  for (const [value, { original, transposed }] of found) {
    const constant = substitutes.get(original.name) ?? build.constant(graph.constants.get(original) as ConstantData, original.name);
    substitutes.set(original.name, constant);
    substitutes.set(
      value.name,
      transposed ? build.op('Transpose', [constant], { perm: ints([1, 0]) }, { name: `${value.name}/transposed` }) : constant,
    );
  }
  const made = inlineGraph(build, graph, substitutes);
  for (const output of graph.outputs) build.output(made.get(output.name) as Value, output.name);
  return { graph: build.finish(), copies: new Map([...found].map(([value, { original }]) => [value.name, original.name])) };
}

function keyOf({ dtype }: Inline, bytes: Uint8Array, shape: readonly number[]): string {
  return `${dtype} ${shape.join('x')} ${createHash('sha256').update(bytes).digest('base64')}`;
}

function isUniform({ bytes, shape }: Inline): boolean {
  const count = (shape[0] as number) * (shape[1] as number);
  const width = bytes.byteLength / count;
  return count < leastElements || bytes.every((byte, at) => byte === bytes[at % width]);
}

function transposedBytes({ bytes, shape }: Inline): Uint8Array {
  const [rows, columns] = shape as readonly [number, number];
  const width = bytes.byteLength / (rows * columns);
  const result = new Uint8Array(bytes.byteLength);
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += 1)
      for (let byte = 0; byte < width; byte += 1)
        result[(column * rows + row) * width + byte] = bytes[(row * columns + column) * width + byte] as number;
  return result;
}

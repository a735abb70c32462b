import type { SeededRandom } from '../../../src/common/random';
import { differentiate } from '../../../src/engine/autodiff/differentiate';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import type { Graph, Value } from '../../../src/engine/graph/graph';
import { operators } from '../../../src/engine/ops/index';
import { elementCount, floatDTypes } from '../../../src/protocol/dtypes';
import { referenceTensor, type ReferenceTensor } from '../interpreter/interpreter';
import type { GradientCase, GradientInput } from './gradientCase';

type Feeds = Readonly<Record<string, ReferenceTensor>>;

/** A row as graphs, and what to feed them. */
export interface BuiltGradientCase {
  readonly graph: BuiltGraphs;
  /** Inputs of the operator. */
  readonly feeds: Feeds;
  /** The same with the weights of the target. */
  readonly everything: Feeds;
}

/** Draws the inputs of a row and builds its graphs. */
export function buildGradientCase(row: GradientCase, random: SeededRandom): BuiltGradientCase {
  const feeds = feedsOf(row, random);
  const { graph, weights } = buildCase(row, random);
  return { graph, feeds, everything: { ...feeds, ...weights } };
}

/** Operator, shapes, note and number of a row, for names of tests. */
export function gradientTitle(row: GradientCase, index: number): string {
  const shapes = row.inputs.map((input) => (input ? `[${shapeOf(input).join(', ')}]` : '-')).join(' ');
  return `${row.domain ? `${row.domain}.` : ''}${row.op} ${shapes}${row.note ? ` ${row.note}` : ''} (row ${index})`;
}

interface BuiltGraphs {
  readonly value: Graph;
  readonly gradient: Graph;
  readonly differentiated: readonly string[];
}

/** The node, a weighted sum of its float outputs as `target`, and the same with gradients. */
function buildCase(row: GradientCase, random: SeededRandom): { graph: BuiltGraphs; weights: Record<string, ReferenceTensor> } {
  const weights: Record<string, ReferenceTensor> = {};
  const make = (withGradients: boolean): { readonly graph: Graph; readonly differentiated: readonly string[] } => {
    const build = new GraphBuilder(operators, 'case', row.opset ?? 21);
    const inputs = row.inputs.map((input, at) => inputValue(build, input, `x${at}`));
    const outputs = build.node(row.op, inputs, row.attributes ?? {}, {
      outputs: row.outputs ?? 1,
      ...(row.domain ? { domain: row.domain } : {}),
    });
    const parts = outputs.flatMap((output, at) => {
      if (!floatDTypes.includes(output.type.dtype) || !(row.targets ?? [at]).includes(at)) return [];
      const shape = output.type.shape as readonly number[];
      weights[`w${at}`] ??= referenceTensor(
        'float32',
        shape,
        float32(Array.from({ length: elementCount(shape) }, () => 2 * random.next() - 1)),
      );
      const weight = build.input(`w${at}`, { dtype: 'float32', shape });
      const single = output.type.dtype === 'float32' ? output : build.op('Cast', [output], { to: int(1) });
      return [build.op('MatMul', [build.op('Reshape', [weight, build.int64([-1])]), build.op('Reshape', [single, build.int64([-1])])])];
    });
    const target = parts.reduce((sum, part) => build.op('Add', [sum, part]));
    const wanted = inputs.flatMap((value) =>
      value && value.name.startsWith('x') && value.type.dtype === 'float32' && !build.constantOf(value) ? [value] : [],
    );
    if (withGradients) {
      const found = differentiate(build, target, wanted, { rules: operators });
      wanted.forEach((value, at) => build.output(found[at] ?? build.op('Sub', [value, value]), `gradient:${value.name}`));
    } else {
      outputs.forEach((output, at) => {
        if (!(row.unwritten ?? []).includes(at)) build.output(output, `y${at}`);
      });
      build.output(target, 'target');
    }
    return { graph: build.finish(), differentiated: wanted.map((value) => value.name) };
  };
  const { graph: value, differentiated } = make(false);
  return { graph: { value, gradient: make(true).graph, differentiated }, weights };
}

function inputValue(build: GraphBuilder, input: GradientInput, name: string): Value | undefined {
  if (input === undefined) return undefined;
  if (input.kind === 'constant') return build.constant(input.data);
  return build.input(name, { dtype: input.kind === 'drawn' ? 'float32' : input.dtype, shape: input.shape });
}

function feedsOf(row: GradientCase, random: SeededRandom): Record<string, ReferenceTensor> {
  const feeds: Record<string, ReferenceTensor> = {};
  row.inputs.forEach((input, at) => {
    if (input === undefined || input.kind === 'constant') return;
    feeds[`x${at}`] =
      input.kind === 'given'
        ? referenceTensor(input.dtype, input.shape, input.values)
        : referenceTensor('float32', input.shape, float32(draw(input, row, random)));
  });
  return feeds;
}

/** Values of a drawn input, rounded to float32 when they are fed. */
export function draw(input: Extract<GradientInput, { kind: 'drawn' }>, row: Pick<GradientCase, 'kinks'>, random: SeededRandom): number[] {
  const { low = -1, high = 1, shape, apart } = input;
  const count = elementCount(shape);
  if (apart !== undefined) {
    // Distinct values in random order: a grid, shuffled by sorting on random keys.
    const gap = Math.max(apart, (high - low) / Math.max(1, count));
    return Array.from({ length: count }, (_, at) => ({ value: low + gap * (at + 0.3 * random.next()), key: random.next() }))
      .sort((a, b) => a.key - b.key)
      .map(({ value }) => value);
  }
  return Array.from({ length: count }, () => {
    for (;;) {
      const value = low + (high - low) * random.next();
      if (!(row.kinks ?? []).some((kink) => Math.abs(value - kink) < 0.02)) return value;
    }
  });
}

/** Rounded to what the runtime is fed. */
export const float32 = (values: readonly number[]): readonly number[] => values.map(Math.fround);

function shapeOf(input: NonNullable<GradientInput>): readonly number[] {
  return input.kind === 'constant' ? input.data.shape : input.shape;
}

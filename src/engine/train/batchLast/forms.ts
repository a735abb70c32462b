import { int, ints } from '../../graph/builder';
import type { GraphBuilder } from '../../graph/builder';
import type { RegionGradient } from '../../graph/gradient';
import type { Attributes, Node, Value } from '../../graph/graph';
import { reshaped, staticShape } from '../../ops/gradients';
import { axesOf, intAttribute, intsAttribute, normalizeAxis } from '../../ops/inference';
import { slidSpace, slidingAxes, type SlidingAxis } from '../../ops/windows';
import { convolution } from './convolution';
import { maxPool, withBatchAxis } from './maxPool';

/** What the form of an operator may use. */
export interface BatchLastContext {
  readonly build: GraphBuilder;
  /** The twin of a value, where it has one. */
  twinOf(value: Value): Value | undefined;
  /** Its twin, made where it has none. */
  makeTwin(value: Value): Value;
  /** Whether a convolution of x [batch, channels, ...space] by weights of that shape is faster so. */
  worth(x: readonly number[], weights: readonly number[]): boolean;
}

/** What a node becomes. */
export type BatchLastForm =
  /** The same operator on other inputs: its first output is a twin. */
  | { readonly kind: 'same'; readonly inputs: readonly (Value | undefined)[]; readonly attributes: Attributes }
  /** Something else that makes the twin of its only output. */
  | { readonly kind: 'twin'; readonly output: Value; readonly region?: RegionGradient }
  /** Something else that makes its only output. */
  | { readonly kind: 'value'; readonly output: Value };

type Form = (node: Node, inputs: readonly (Value | undefined)[], context: BatchLastContext) => BatchLastForm | undefined;

/** The form of a node on twins [1, channels, ...space, batch]; undefined if it has none, or no input with a twin. */
export const batchLastForm: Form = (node, inputs, context) =>
  node.domain === '' && Object.hasOwn(forms, node.op) ? (forms[node.op] as Form)(node, inputs, context) : undefined;

const conv: Form = (node, [x, w, bias], { build, makeTwin, worth }) => {
  if (!x || !w || !worth(staticShape(x), staticShape(w))) return undefined;
  const convolved = { groups: intAttribute(node, 'group', 1), axes: windowsOf(node, x, staticShape(w).slice(2)) };
  return { kind: 'twin', ...convolution(build, { x: makeTwin(x), w, bias }, convolved) };
};

/** The windows of a node over [batch, channels, ...space], worked out from its attributes. */
function windowsOf(node: Node, x: Value, kernel: readonly number[]): readonly SlidingAxis[] {
  const space = staticShape(x).slice(2);
  const context = { attributes: node.attributes, node: node.name, outputCount: 1, constantOf: () => undefined };
  return slidingAxes(node, space, kernel, slidSpace(space, kernel, context) as readonly number[]);
}

/** Batch normalisation: the channels are where they were. */
const alongChannels: Form = (node, [x, ...others], { twinOf }) => {
  const twin = x && twinOf(x);
  return twin && { kind: 'same', inputs: [twin, ...others], attributes: node.attributes };
};

/** Place by place, with broadcasting: of values that have twins, or are the same for all samples. */
const pointwise: Form = (node, inputs, { build, twinOf }) => {
  const twins = inputs.map((input) => input && twinOf(input));
  const rank = twins.find((twin) => twin)?.type.shape?.length;
  if (rank === undefined) return undefined;
  const found: (Value | undefined)[] = [];
  for (const [index, input] of inputs.entries()) {
    const value = input && (twins[index] ?? withBatchOfOne(build, input, rank));
    if (input && !value) return undefined;
    found.push(value);
  }
  return { kind: 'same', inputs: found, attributes: node.attributes };
};

/** A value that broadcasts to [batch, channels, ...space] without a batch of its own, for twins: an axis of length 1 at the end. */
function withBatchOfOne(build: GraphBuilder, value: Value, rank: number): Value | undefined {
  const shape = staticShape(value);
  if (shape.length === 0) return value;
  if (shape.length >= rank || (shape.length === rank - 1 && shape[0] !== 1)) return undefined;
  return reshaped(build, value, [...shape, 1]);
}

const maxPoolForm: Form = (node, [x], { build, twinOf }) => {
  const twin = x && twinOf(x);
  if (!twin || node.outputs.slice(1).some((output) => output)) return undefined;
  const axes = windowsOf(node, x, intsAttribute(node, 'kernel_shape') ?? []);
  // Windows at every place: the sum of what each window sends back would cost more than it saves.
  if (axes.some(({ stride, kernel }) => stride === 1 && kernel > 1)) return undefined;
  return { kind: 'twin', ...maxPool(build, twin, node.attributes, axes) };
};

const averagePool: Form = (node, [x], { twinOf }) => {
  const twin = x && twinOf(x);
  return twin && { kind: 'same', inputs: [twin], attributes: withBatchAxis(node.attributes) };
};

/** The mean over all space. */
const globalAveragePool: Form = (_, [x], { build, twinOf }) => {
  const twin = x && twinOf(x);
  return twin && { kind: 'twin', output: meanOverSpace(build, twin) };
};

/** The same as exporters write it: a ReduceMean over all axes of space. */
const reduceMean: Form = (node, [x, axesInput], { build, twinOf }) => {
  const twin = x && twinOf(x);
  if (!twin) return undefined;
  const rank = staticShape(x).length;
  const { values } = axesOf(
    { attributes: node.attributes, constantOf: (index) => (index === 1 && axesInput ? build.constantOf(axesInput) : undefined) },
    1,
  );
  const axes = new Set(values?.map((axis) => normalizeAxis(axis, rank)));
  if (axes.size !== rank - 2 || axes.has(0) || axes.has(1)) return undefined;
  const mean = meanOverSpace(build, twin);
  if (intAttribute(node, 'keepdims', 1) !== 0) return { kind: 'twin', output: mean };
  const [, channels, ...rest] = staticShape(mean) as readonly [number, number, ...number[]];
  return {
    kind: 'value',
    output: build.op('Transpose', [reshaped(build, mean, [channels, rest.at(-1) as number])], { perm: ints([1, 0]) }),
  };
};

function meanOverSpace(build: GraphBuilder, twin: Value): Value {
  const axes = staticShape(twin).map((_, axis) => axis);
  return build.op('ReduceMean', [twin, build.int64(axes.slice(2, -1))], { keepdims: int(1) });
}

/** Maps of several values one behind the other. */
const concat: Form = (node, inputs, { twinOf }) => {
  const twins = inputs.flatMap((input) => (input && twinOf(input)) ?? []);
  const [first] = inputs;
  if (!first || twins.length !== inputs.length || normalizeAxis(intAttribute(node, 'axis', 1), staticShape(first).length) !== 1)
    return undefined;
  return { kind: 'same', inputs: twins, attributes: { axis: int(1) } };
};

const pointwiseOperators = [
  ...['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Sum', 'Mean', 'Max', 'Min', 'PRelu', 'Clip', 'Identity', 'Neg', 'Abs', 'Sqrt', 'Exp', 'Erf'],
  ...['Relu', 'LeakyRelu', 'ThresholdedRelu', 'Elu', 'Celu', 'Selu', 'Gelu', 'Swish', 'HardSwish', 'Mish'],
  ...['Sigmoid', 'HardSigmoid', 'Tanh', 'Softplus', 'Softsign'],
];

const forms: Readonly<Record<string, Form>> = {
  Conv: conv,
  BatchNormalization: alongChannels,
  MaxPool: maxPoolForm,
  AveragePool: averagePool,
  GlobalAveragePool: globalAveragePool,
  ReduceMean: reduceMean,
  Concat: concat,
  ...Object.fromEntries(pointwiseOperators.map((name) => [name, pointwise])),
};

import { SeededRandom } from '../../src/common/random';
import { resolveParams } from '../../src/common/params';
import { differentiate, type CustomGradient } from '../../src/engine/autodiff/differentiate';
import { GraphBuilder } from '../../src/engine/graph/builder';
import type { Value } from '../../src/engine/graph/graph';
import { operators } from '../../src/engine/ops/index';
import type {
  HostState,
  MethodForward,
  MethodPlan,
  MethodStep,
  TrainableParameter,
  WeightMethodContext,
} from '../../src/engine/train/contract';
import { findWeightMethod } from '../../src/engine/train/methods/index';
import { elementCount } from '../../src/protocol/dtypes';
import { feedTensor, runGraph } from './runGraph';

/** One weight of a small model without layers, given in canonical order. */
export interface SmallWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly weights: Float32Array;
  /** Default: matrices are held transposed, as the trainer holds linear layers. */
  readonly held?: 'canonical' | 'transposed';
  readonly role?: TrainableParameter['role'];
  readonly tiedTo?: readonly string[];
  readonly used?: boolean;
}

/** [rows, columns] to [columns, rows], or a copy. */
export function heldOrder({ shape, held }: Pick<SmallWeight, 'shape' | 'held'>, values: Float32Array): Float32Array {
  if ((held ?? (shape.length === 2 ? 'transposed' : 'canonical')) === 'canonical') return values.slice();
  const [rows = 1, columns = 1] = shape;
  return Float32Array.from(values, (_, index) => values[(index % rows) * columns + Math.floor(index / rows)] as number);
}

/** The inverse of `heldOrder`. */
export function canonicalOrder({ shape, held }: Pick<SmallWeight, 'shape' | 'held'>, values: Float32Array): Float32Array {
  const [rows = 1, columns = 1] = shape;
  return heldOrder({ shape: shape.length === 2 ? [columns, rows] : shape, ...(held ? { held } : {}) }, values);
}

export function trainable({ name, shape, weights, held, role = 'linear', tiedTo = [], used = true }: SmallWeight): TrainableParameter {
  const layout = held ?? (shape.length === 2 ? 'transposed' : 'canonical');
  return {
    name,
    role,
    shape,
    heldShape: layout === 'transposed' ? [...shape].reverse() : shape,
    held: layout,
    storedTransposed: false,
    tiedTo,
    used,
    initial: async () => heldOrder({ shape, held: layout }, weights),
  };
}

/** A method planned for small weights. */
export function planFor(
  method: string,
  weights: readonly SmallWeight[],
  given: Readonly<Record<string, unknown>> = {},
  context: Partial<WeightMethodContext> = {},
): MethodPlan {
  const descriptor = findWeightMethod(method);
  const { values, problems } = resolveParams(descriptor.parameters, given);
  if (problems.length > 0) throw new Error(problems.join(' '));
  return descriptor.plan(
    {
      parameters: weights.map(trainable),
      initial: (name) => {
        const weight = weights.find((each) => each.name === name) as SmallWeight;
        return heldOrder(weight, weight.weights);
      },
      exclude: [],
      minimumSize: 0,
      halfRest: false,
      steps: 100,
      logitRate: 1e-2,
      ...context,
    },
    values,
  );
}

/** A state of given weights (canonical) and of a plan's variables, some of them replaced. */
export function stateOf(
  plan: MethodPlan,
  weights: readonly SmallWeight[],
  changed: Readonly<Record<string, Float32Array>> = {},
): HostState {
  return {
    parameter: (name) => {
      const weight = weights.find((each) => each.name === name) as SmallWeight;
      return heldOrder(weight, weight.weights);
    },
    variable: (name) => {
      const value = changed[name] ?? plan.variables.find((each) => each.name === name)?.initial;
      if (!value) throw new Error(`There is no variable '${name}'.`);
      return value;
    },
  };
}

/** What one pass of a method through a graph is given. */
export interface MethodRun {
  readonly plan: MethodPlan;
  readonly weights: readonly SmallWeight[];
  readonly variables?: Readonly<Record<string, Float32Array>>;
  /** Noise in place of drawn noise, in the order that the graph asks for it. Default: seeded. */
  readonly noise?: (key: string, shape: readonly number[], kind: 'uniform' | 'gaussian') => Float32Array;
  readonly step?: number;
  readonly steps?: number;
  readonly pass?: string;
  /** Adds what is differentiated, a scalar, with its own regions and outputs to look at. Without it gradients are left out. */
  task?(
    build: GraphBuilder,
    forward: MethodForward,
    held: (name: string) => Value,
  ): {
    readonly target: Value;
    readonly regions?: readonly CustomGradient[];
    readonly outputs?: Readonly<Record<string, Value>>;
  };
}

/** Runs the forward part of a method and the gradients of a target for its weights and variables with plain ONNX Runtime. Results by name. */
export async function runMethod(run: MethodRun): Promise<Readonly<Record<string, Float32Array>>> {
  const build = new GraphBuilder(operators, 'method');
  const feeds: Record<string, ReturnType<typeof feedTensor>> = {};
  const feed = (name: string, shape: readonly number[], data: Float32Array): Value => {
    feeds[name] = feedTensor('float32', shape, Array.from(data));
    return build.input(name, { dtype: 'float32', shape });
  };
  const parameters = new Map(
    run.weights.map((weight) => {
      const { name, heldShape } = trainable(weight);
      return [name, feed(name, heldShape, heldOrder(weight, weight.weights))];
    }),
  );
  const variables = new Map(
    run.plan.variables.map(({ name, shape, initial }) => [name, feed(name, shape, run.variables?.[name] ?? initial)]),
  );
  const regions: CustomGradient[] = [];
  const random = new SeededRandom(7);
  const held = (name: string): Value => parameters.get(name) as Value;
  const step: MethodStep = {
    build,
    variable: (name) => variables.get(name) as Value,
    noise: (key, shape, kind) => {
      const drawn = (): Float32Array =>
        Float32Array.from({ length: elementCount(shape) }, () => (kind === 'uniform' ? random.next() - 0.5 : random.nextNormal()));
      return feed(`noise/${key}/${kind}`, shape, run.noise?.(key, shape, kind) ?? drawn());
    },
    step: feed('step', [], Float32Array.of(run.step ?? 0)),
    steps: run.steps ?? 100,
    custom: (region) => regions.push(region),
  };
  const forward = run.plan.forward(step, held, run.pass ?? 'student');
  const shown: Record<string, Value> = {};
  for (const [name, value] of Object.entries(forward.carry ?? {})) shown[`carry/${name}`] = value;
  for (const [name, value] of Object.entries(forward.metrics ?? {})) shown[`metric/${name}`] = value;
  const task = run.task?.(build, forward, held);
  if (task) {
    Object.assign(shown, task.outputs, { target: task.target });
    const wanted = new Map([...parameters, ...variables]);
    const gradients = differentiate(build, task.target, [...wanted.values()], {
      rules: operators,
      custom: [...regions, ...(task.regions ?? [])],
    });
    [...wanted.keys()].forEach((name, index) => {
      const gradient = gradients[index];
      if (gradient) shown[`gradient/${name}`] = gradient;
    });
  }
  for (const [name, value] of Object.entries(shown)) build.output(value, `out/${name}`);
  const results = await runGraph(build.finish(), feeds);
  return Object.fromEntries(
    Object.entries(results).map(([name, { data }]) => [name.slice('out/'.length), Float32Array.from(data as ArrayLike<number>, Number)]),
  );
}

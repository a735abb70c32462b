import { LoomweightError } from '../../protocol/errors';
import type { LearnedTensor } from '../formats/archive/learnedTensor';
import type { Value } from '../graph/graph';
import type { Runtime } from '../runtime/types';
import { rankOf, type BestRule } from './best';
import type { ForwardPass, HostState, MethodForward, MethodPlan, MethodStep, TrainableModel, TrainableParameter } from './contract';
import type { TrainingData } from './data/trainingData';
import { Evaluator } from './evaluation';
import { addLoss, type LossKind } from './loss';
import { modelGroupOf } from './modelGroups';
import type { FrozenTensor, HostValues, Objective, ObjectiveStep, StepLoss, StepObjective, TrainVariable } from './objective';

/** Names of a model's tensors and of a method's variables in a training. */
export const parameterKey = (name: string): string => `parameter/${name}`;
export const variableKey = (name: string): string => `variable/${name}`;
export const bufferKey = (name: string): string => `buffer/${name}`;

/** A model that a method trains. */
export interface WeightTraining {
  readonly model: TrainableModel;
  readonly plan: MethodPlan;
  readonly loss: LossKind;
  /** Weight of the size in MiB where the method steers none. */
  readonly penalty: number;
  /** Number of all steps. */
  readonly steps: number;
  /** Parameters that are trained; the others are frozen. Default: those that the outputs depend on. */
  trained?(parameter: TrainableParameter): boolean;
}

/** What a training of weights is judged by, besides the weights. */
export interface WeightJudgement extends BestRule {
  readonly runtime: Runtime;
  readonly data: TrainingData;
  readonly batch: number;
  /** Weights that stay float are rounded to float16, as they will be stored. */
  readonly halfRest: boolean;
}

/** Weights that a method has trained. */
export interface TrainedWeights {
  /** Parameters (held order), buffers and the method's variables. */
  readonly state: HostState;
  /** The tensors that the method quantises, as they will be written. */
  readonly quantized: readonly LearnedTensor[];
  readonly sizes: ReturnType<MethodPlan['sizes']>;
}

/** The objective of a method: a model's own tensors and the method's variables, the task's loss, and the penalty for the size where there is one. */
export function weightObjective(training: WeightTraining, judgement: WeightJudgement): Objective<TrainedWeights> {
  const { model, plan } = training;
  const { runtime, data, batch, halfRest, ...rule } = judgement;
  const evaluator = new Evaluator(runtime, { model, plan, data, batch, halfRest });
  return {
    ...weightSteps(training),
    evaluate: async (values, step, signal) => {
      const state = weightState(model, values);
      const evaluation = await evaluator.evaluate(state, step, signal);
      const { loss, bitsPerWeight } = evaluation;
      const sizeMiB = plan.sizes(state).trueBits / 8 / 2 ** 20;
      return { evaluation, rank: rankOf({ loss, bitsPerWeight, sizeMiB, settled: step >= (plan.settledFrom ?? 0) }, rule) };
    },
    result: (values) => {
      const state = weightState(model, values);
      return { state, quantized: plan.realize(state), sizes: plan.sizes(state) };
    },
    release: () => evaluator.release(),
  };
}

/** What the steps of such a training compute. */
export function weightSteps(training: WeightTraining): StepObjective {
  const { model, plan, penalty } = training;
  const { refresh } = plan;
  return {
    ...tensorsOf(training),
    scalars: () => ({ penalty }),
    addLoss: (step) => addWeightLoss(training, step),
    ...(refresh && {
      refresh: {
        every: refresh.every,
        apply: (values, step) =>
          Object.fromEntries(
            Object.entries(refresh.apply(weightState(model, values), step)).map(([name, changed]) => [variableKey(name), changed]),
          ),
      },
    }),
  };
}

function tensorsOf({ model, plan, trained = ({ used }) => used }: WeightTraining): Pick<StepObjective, 'variables' | 'frozen'> {
  const variables: TrainVariable[] = [];
  const frozen: FrozenTensor[] = [];
  for (const parameter of model.parameters) {
    const [name, shape] = [parameterKey(parameter.name), parameter.heldShape];
    if (trained(parameter)) variables.push({ name, shape, group: modelGroupOf(parameter), initial: () => parameter.initial() });
    else frozen.push({ name, shape, values: () => parameter.initial() });
  }
  for (const { name, shape, group, initial } of plan.variables)
    variables.push({ name: variableKey(name), shape, group, initial: async () => initial });
  for (const { name, shape, initial } of model.buffers)
    variables.push({ name: bufferKey(name), shape, group: undefined, initial: () => initial() });
  return { variables, frozen };
}

function addWeightLoss(training: WeightTraining, step: ObjectiveStep): StepLoss {
  const { model, plan, steps } = training;
  const { build } = step;
  const buffers = new Set(model.buffers.map(({ name }) => name));
  const passNames = plan.passes ?? ['student'];
  const methodStep: MethodStep = {
    build,
    variable: (name) => step.value(variableKey(name)),
    noise: (key, shape, kind) => step.noise(key, shape, kind),
    step: step.step,
    steps,
    custom: (region) => step.custom(region),
  };
  const passes: Record<string, ForwardPass> = {};
  const forwards: MethodForward[] = [];
  for (const pass of passNames) {
    const forward = plan.forward(methodStep, (name) => step.value(parameterKey(name)), pass);
    const used = (name: string): Value => forward.weights[name] ?? step.value(buffers.has(name) ? bufferKey(name) : parameterKey(name));
    const made = model.forward(build, step.batch, used, true, { batchLast: step.batchLast });
    for (const region of made.regions) step.custom(region);
    passes[pass] = made;
    forwards.push(forward);
  }
  const task = (forward: ForwardPass): Value => {
    const loss = addLoss(training.loss, build, forward, labelOf(step.batch));
    step.custom(loss.region);
    return loss.value;
  };
  const first = passes[passNames[0] as string] as ForwardPass;
  const loss = plan.combine ? plan.combine(methodStep, passes, task) : task(first);
  const carried = forwards.flatMap(({ carry = {} }) => Object.entries(carry));
  return {
    target: withPenalty(step, loss, forwards),
    loss,
    next: Object.fromEntries([
      ...Object.entries(first.buffers).map(([name, value]) => [bufferKey(name), value] as const),
      ...carried.map(([name, value]) => [variableKey(name), value] as const),
    ]),
    metrics: Object.fromEntries(forwards.flatMap(({ metrics = {} }) => Object.entries(metrics))),
  };
}

/** loss + penalty * size in MiB. The penalty comes from the method where it steers one, else from the job. */
function withPenalty(step: ObjectiveStep, loss: Value, forwards: readonly MethodForward[]): Value {
  const costed = forwards.find(({ size }) => size !== undefined);
  if (costed?.size === undefined) return loss;
  const { build } = step;
  const penalty = costed.penalty ?? step.scalar('penalty');
  return build.op('Add', [loss, build.op('Mul', [costed.size, penalty])], {}, { name: 'loss/penalized' });
}

/** The state as methods see it. Buffers are asked for like parameters. */
function weightState({ buffers }: Pick<TrainableModel, 'buffers'>, values: HostValues): HostState {
  const statistics = new Set(buffers.map(({ name }) => name));
  return {
    parameter: (name) => values(statistics.has(name) ? bufferKey(name) : parameterKey(name)),
    variable: (name) => values(variableKey(name)),
  };
}

function labelOf<T>(batch: Readonly<Record<string, T>>): T {
  const label = batch['label'];
  if (label !== undefined) return label;
  throw new LoomweightError('internal', "A training batch has no 'label'.");
}

import type { LearnSpec } from '../../../protocol/jobs';
import type { TrainableParameter } from '../contract';
import { adam } from './adam';
import type { Optimizer } from './optimizer';
import { rateFactor } from './schedule';
import { sgd } from './sgd';

/** `main`: matrices and kernels; `plain`: norms, biases and a method's own numbers, without weight decay; `logits`: widths, with an Adam of their own. */
export const groupNames = ['main', 'plain', 'logits'] as const;
export type GroupName = (typeof groupNames)[number];

/** Tensors that share an optimiser and a learning rate. */
export interface ParameterGroup {
  readonly optimizer: Optimizer;
  /** Learning rate at a step (0 first). */
  rate(step: number): number;
}

export type ParameterGroups = Readonly<Record<GroupName, ParameterGroup>> & {
  groupOf(parameter: TrainableParameter): GroupName;
};

type OptimizerSettings = Pick<
  LearnSpec,
  'optimizer' | 'momentum' | 'nesterov' | 'weightDecay' | 'rate' | 'logitRate' | 'schedule' | 'warmup' | 'steps'
>;

/**
 * The groups of a job. The schedule acts on the weights; the rate of the logits stays as it is, as DiffQ's authors have it.
 */
export function parameterGroups(spec: OptimizerSettings): ParameterGroups {
  const rate = (step: number): number =>
    spec.rate * rateFactor({ kind: spec.schedule, steps: spec.steps, ...(spec.warmup === undefined ? {} : { warmup: spec.warmup }) }, step);
  return {
    main: { optimizer: chosenOptimizer(spec, spec.weightDecay ?? 0), rate },
    plain: { optimizer: chosenOptimizer(spec, 0), rate },
    logits: { optimizer: adam('adam'), rate: () => spec.logitRate },
    groupOf: ({ role, shape }) => (role === 'norm' || role === 'bias' || shape.length < 2 ? 'plain' : 'main'),
  };
}

function chosenOptimizer({ optimizer, momentum, nesterov }: OptimizerSettings, weightDecay: number): Optimizer {
  if (optimizer !== 'sgd') return adam(optimizer, { weightDecay });
  return sgd({ weightDecay, ...(momentum === undefined ? {} : { momentum }), ...(nesterov === undefined ? {} : { nesterov }) });
}

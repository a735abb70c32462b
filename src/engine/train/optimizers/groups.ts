import { LoomweightError } from '../../../protocol/errors';
import type { TrainSpec } from '../../../protocol/training';
import { adam } from './adam';
import type { Optimizer } from './optimizer';
import { rateFactor } from './schedule';
import { sgd } from './sgd';

/** How the variables of one group are moved. */
export interface GroupSettings {
  readonly optimizer: TrainSpec['optimizer'];
  readonly rate: number;
  /** Acts on the group's own rate. */
  readonly schedule: TrainSpec['schedule'];
  readonly warmup?: number | undefined;
  readonly weightDecay?: number | undefined;
  /** `sgd` only. */
  readonly momentum?: number | undefined;
  readonly nesterov?: boolean | undefined;
}

/** Variables that share an optimiser and a learning rate. */
export interface OptimizerGroup {
  readonly optimizer: Optimizer;
  /** Learning rate at a step (0 first). */
  rate(step: number): number;
}

/** By name. */
export type OptimizerGroups = Readonly<Record<string, OptimizerGroup>>;

/** The groups of a training of so many steps. */
export function optimizerGroups(settings: Readonly<Record<string, GroupSettings>>, steps: number): OptimizerGroups {
  return Object.fromEntries(Object.entries(settings).map(([name, group]) => [name, optimizerGroup(group, steps)]));
}

function optimizerGroup(settings: GroupSettings, steps: number): OptimizerGroup {
  const { optimizer, weightDecay, momentum, nesterov, rate, schedule, warmup } = settings;
  return {
    optimizer: optimizer === 'sgd' ? sgd({ momentum, nesterov, weightDecay }) : adam(optimizer, { weightDecay }),
    rate: (step) => rate * rateFactor({ kind: schedule, steps, warmup }, step),
  };
}

/** A group by name. Errors: `internal` listing what there is. */
export function groupNamed(groups: OptimizerGroups, name: string): OptimizerGroup {
  const group = groups[name];
  if (group) return group;
  throw new LoomweightError('internal', `Unknown group '${name}' of variables. Groups: ${Object.keys(groups).join(', ')}.`, {
    group: name,
  });
}

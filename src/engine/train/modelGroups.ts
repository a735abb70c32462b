import type { TrainSpec } from '../../protocol/training';
import type { TrainableParameter } from './contract';
import type { GroupSettings } from './optimizers/groups';

/** `main`: matrices and kernels; `plain`: norms, biases and a method's own numbers. */
export type ModelGroup = 'main' | 'plain';

/** The groups of a model's own tensors, as a specification has them: only `main` takes weight decay. */
export function modelGroups(
  spec: Pick<TrainSpec, 'optimizer' | 'rate' | 'schedule' | 'warmup' | 'weightDecay' | 'momentum' | 'nesterov'>,
): Readonly<Record<ModelGroup, GroupSettings>> {
  const { optimizer, rate, schedule, warmup, weightDecay, momentum, nesterov } = spec;
  const plain: GroupSettings = { optimizer, rate, schedule, warmup, momentum, nesterov };
  return { main: { ...plain, weightDecay }, plain };
}

/** The group of one of a model's tensors. */
export function modelGroupOf({ role, shape }: Pick<TrainableParameter, 'role' | 'shape'>): ModelGroup {
  return role === 'norm' || role === 'bias' || shape.length < 2 ? 'plain' : 'main';
}

import type { MethodPlan, MethodVariable, WeightMethodContext } from '../../contract';
import { elementCount } from '../../../../protocol/dtypes';
import { logitOf } from '../../../kernels/bitWidths';
import { weightGroups } from '../../../kernels/weightGroups';
import { entriesOf } from '../shared/realizeTensor';
import { selectTensors } from '../shared/selectTensors';
import { diffqForward } from './forward';
import { variableNames, type DiffqModel, type DiffqTensor } from './model';
import { DiffqResult } from './result';
import type { DiffqSettings } from './settings';
import { steeringVariable } from './steering';

/** Widths have an Adam of their own, whose rate stays constant, as in the authors' code. */
const logitGroup = 'logits';

/** Plans DiffQ for a model. Errors: `invalid-argument` where a target cannot be met. */
export function planDiffq(context: WeightMethodContext, settings: DiffqSettings): MethodPlan {
  const { quantized, restBits } = selectTensors(context);
  const tensors = quantized.map((parameter) => ({ parameter, groups: weightGroups(parameter, settings.groupSize) }));
  const entries = entriesOf(quantized);
  const learningSteps = settings.settleFrom ?? context.steps;
  const model: DiffqModel = {
    settings,
    tensors,
    entries,
    restBits,
    ...(context.targetBits === undefined || entries === 0
      ? {}
      : { steering: { targetBits: context.targetBits, firstPenalty: context.penalty ?? 1, learningSteps } }),
  };
  const result = new DiffqResult(model);
  if (model.steering) result.requireReachable();
  return {
    quantized: quantized.map(({ name }) => name),
    variables: [
      ...tensors.flatMap((tensor) => variablesOf(tensor, settings)),
      ...(model.steering ? [steeringVariable(model.steering)] : []),
    ],
    groups: { [logitGroup]: { optimizer: 'adam', rate: context.logitRate, schedule: 'constant' } },
    forward: (step, weights) => diffqForward(model, step, weights),
    ...(settings.settleFrom === undefined
      ? {}
      : { settledFrom: settings.settleFrom + 1, refresh: { every: settings.settleFrom, apply: (state) => result.settle(state) } }),
    realize: (state) => result.realize(state),
    sizes: (state) => result.sizes(state),
  };
}

/**
 * Logits of a tensor that the outputs do not depend on are in no group: it gets no gradient, so the penalty alone would shrink its widths.
 */
function variablesOf({ parameter, groups }: DiffqTensor, { range, initBits, settleFrom }: DiffqSettings): readonly MethodVariable[] {
  const { name, used } = parameter;
  const count = elementCount(groups.shape);
  return [
    {
      name: variableNames.logits(name),
      shape: groups.shape,
      initial: new Float32Array(count).fill(logitOf(initBits, range)),
      group: used ? logitGroup : undefined,
    },
    ...(settleFrom === undefined
      ? []
      : [
          { name: variableNames.widths(name), shape: groups.shape, initial: new Float32Array(count), group: undefined },
          { name: variableNames.range(name), shape: [2], initial: new Float32Array(2), group: undefined },
        ]),
  ];
}

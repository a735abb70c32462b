import { resolveParams } from '../../common/params';
import { LoomweightError } from '../../protocol/errors';
import type { LearnSpec } from '../../protocol/jobs';
import { learnDefaults } from '../../protocol/learnDefaults';
import type { MethodPlan, TrainableModel } from './contract';
import { findWeightMethod } from './methods/index';

type PlannedSpec = Pick<LearnSpec, 'method' | 'parameters' | 'steps' | 'targetBits' | 'penalty' | 'exclude' | 'minimumSize' | 'halfRest'> &
  Partial<Pick<LearnSpec, 'logitRate'>>;

/**
 * What a job's method decides for a model. Reads the model's start values. Errors: `invalid-argument` for parameters that are unknown, out of range or
 * contradict each other, and for a target or penalty that the method has no use for.
 */
export async function planMethod(spec: PlannedSpec, model: Pick<TrainableModel, 'parameters'>): Promise<MethodPlan> {
  const method = findWeightMethod(spec.method);
  const { values, problems } = resolveParams(method.parameters, spec.parameters);
  if (problems.length > 0)
    throw new LoomweightError('invalid-argument', `${method.label}: ${problems.join(' ')}`, { method: method.id, problems });
  if (!method.learnsWidths && (spec.targetBits !== undefined || spec.penalty !== undefined))
    throw new LoomweightError(
      'invalid-argument',
      `${method.label} does not learn widths, so targetBits and penalty do not apply. Omit them.`,
      {
        method: method.id,
      },
    );
  const start = new Map<string, Float32Array>();
  for (const { name, initial } of model.parameters) start.set(name, await initial());
  const plan = method.plan(
    {
      parameters: model.parameters,
      initial: (name) => {
        const weights = start.get(name);
        if (weights) return weights;
        throw new LoomweightError('internal', `The model has no parameter '${name}'.`, { parameter: name });
      },
      exclude: spec.exclude ?? [],
      minimumSize: spec.minimumSize ?? learnDefaults.minimumSize,
      halfRest: spec.halfRest ?? true,
      steps: spec.steps,
      logitRate: spec.logitRate ?? learnDefaults.logitRate,
      targetBits: spec.targetBits,
      penalty: spec.penalty,
    },
    values,
  );
  // Plans may hold on to what they were given; the weights are not kept in memory a second time for it.
  start.clear();
  return plan;
}

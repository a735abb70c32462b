import type { JobSpec } from '../../protocol/jobs';
import { compareJob } from './compare';
import { compressJob } from './compress';
import { evaluateJob } from './evaluate';
import { inspectJob } from './inspect';
import type { JobKind } from './jobKind';
import { learnJob } from './learn';

/** A single step: every kind of job but the recipe, which is a list of them. */
export type StepJobSpec = Exclude<JobSpec, { readonly kind: 'recipe' }>;

/** Every kind of step. To add one: a file like compare.ts and a line here. */
const jobKinds: { readonly [Kind in StepJobSpec['kind']]: JobKind<Extract<StepJobSpec, { readonly kind: Kind }>> } = {
  compress: compressJob,
  learn: learnJob,
  evaluate: evaluateJob,
  compare: compareJob,
  inspect: inspectJob,
};

/** The kind of a specification. The table above guarantees that specification and kind belong together. */
export function jobKindOf<Spec extends StepJobSpec>(spec: Spec): JobKind<Spec> {
  return jobKinds[spec.kind] as unknown as JobKind<Spec>;
}

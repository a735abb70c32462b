import type { LearnSpec } from '../../protocol/jobs';
import type { TrainingData } from './data/trainingData';
import { hashOf } from './trainer';

/**
 * What the results of a job depend on besides provider, seed and start, so that a checkpoint of other settings is refused. Held-out data is known by its hash. Paths
 * are not among them: files may have been moved.
 */
export function learnSettings(spec: LearnSpec, { loss, evaluation }: TrainingData): Readonly<Record<string, unknown>> {
  const {
    kind: _kind,
    model: _model,
    data: _data,
    columns: _columns,
    validation: _validation,
    formats: _formats,
    out: _out,
    resume: _resume,
    startOver: _startOver,
    keepFailed: _keepFailed,
    provider: _provider,
    threads: _threads,
    maxMemory: _maxMemory,
    seed: _seed,
    ...settings
  } = spec;
  return {
    ...settings,
    loss,
    heldOutData: hashOf(Object.values(evaluation.slice(0, Math.min(evaluation.samples, spec.batch))).map((tensor) => tensor.data)),
    heldOutSamples: evaluation.samples,
  };
}

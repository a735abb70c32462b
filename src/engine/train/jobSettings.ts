import { createHash } from 'node:crypto';
import type { LearnSpec } from '../../protocol/jobs';
import type { TrainingData } from './data/trainingData';
import type { StateValues } from './state';

/**
 * What a training's results depend on besides the provider: settings, start values and data (by hash), so that a checkpoint goes on only where it would have
 * gone by itself. Paths are not among them: files may have been moved.
 */
export function resultSettings(spec: LearnSpec, data: TrainingData, start: StateValues): Readonly<Record<string, unknown>> {
  const {
    kind: _kind,
    model: _model,
    data: _data,
    columns: _columns,
    validation: _validation,
    formats: _formats,
    out: _out,
    resume: _resume,
    keepFailed: _keepFailed,
    provider: _provider,
    threads: _threads,
    maxMemory: _maxMemory,
    seed = 0,
    ...settings
  } = spec;
  return {
    ...settings,
    seed,
    loss: data.loss,
    startWeights: hashOf(start.values()),
    trainingData: hashOf(Object.values(data.train.batch(0, spec.batch)).map((tensor) => tensor.data)),
    trainingSamples: data.train.samples,
    heldOutData: hashOf(
      Object.values(data.evaluation.slice(0, Math.min(data.evaluation.samples, spec.batch))).map((tensor) => tensor.data),
    ),
    heldOutSamples: data.evaluation.samples,
  };
}

function hashOf(arrays: Iterable<ArrayBufferView>): string {
  const hash = createHash('sha256');
  for (const { buffer, byteOffset, byteLength } of arrays) hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest('hex').slice(0, 16);
}

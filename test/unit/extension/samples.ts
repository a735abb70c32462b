import type { JobProgress, JobState } from '../../../src/protocol/jobs';
import type { CompressReport } from '../../../src/protocol/report';

/** A compress job that has just started. */
export const compressJob: JobState = {
  id: 'job-1',
  spec: { kind: 'compress', model: '/models/loom-base', method: 'rtn', parameters: { bits: 4 }, format: 'onnx-fast', out: '/out' },
  status: 'running',
  startedAt: '2026-01-01T00:00:00.000Z',
};

const layer = { name: 'layers.0.up', weights: 1000, bits: 4, relativeError: 0.1, bytesBefore: 2000, bytesAfter: 625 };

/** A quarter of the way. */
export const progress: JobProgress = {
  phase: 'Quantising',
  done: 1,
  total: 4,
  unit: 'layers',
  elapsedSeconds: 30,
  remainingSeconds: 90,
  rssBytes: 1,
  layers: [layer],
};

/** A report of a compression from 8 to 2 MiB. */
export const compressReport: CompressReport = {
  kind: 'compress',
  version: '0.1.0',
  method: 'rtn',
  format: 'onnx-fast',
  settings: { bits: 4 },
  source: { path: '/models/loom-base', architecture: 'LlamaForCausalLM', files: [] },
  seed: 0,
  parameterCount: 4_000_000,
  bitsPerWeight: 5,
  bytesBefore: 8 * 1024 ** 2,
  bytesAfter: 2 * 1024 ** 2,
  layers: [{ ...layer, shape: [10, 100], bitsPerWeight: 5 }],
  verification: {
    passed: true,
    scope: 'whole',
    checks: [{ name: 'logits-exact', passed: true, measured: 3e-5, limit: 1e-3, unit: 'absolute' }],
  },
  environment: { provider: 'cpu', providerReason: 'No GPU.', runtime: '1.30.0', threads: 2 },
  seconds: 3,
  peakRssBytes: 1,
  outputs: [],
  primary: 'onnx/model_q4.onnx',
  notes: [],
};

import { compressKind } from '../../src/engine/jobs/compress';
import { learnKind } from '../../src/engine/jobs/learn';
import type { CompressSpec, JobProgress, JobState, LearnSpec } from '../../src/protocol/jobs';
import type { CompressReport, LearnReport } from '../../src/protocol/report';

/** What the compress job is asked to do. */
export const compressSpec: CompressSpec = {
  kind: 'compress',
  model: '/models/loom-base',
  method: 'rtn',
  parameters: { bits: 4 },
  format: 'onnx-fast',
  out: '/out',
};

/** A compress job that has just started. */
export const compressJob: JobState = {
  id: 'job-1',
  spec: compressSpec,
  description: compressKind.describe(compressSpec),
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

/** What the learning job is asked to do. */
export const learnSpec: LearnSpec = {
  kind: 'learn',
  model: '/models/digits-mlp.onnx',
  data: '/data/digits',
  method: 'diffq',
  parameters: {},
  targetBits: 3,
  steps: 100,
  batch: 64,
  rate: 1e-3,
  logitRate: 1e-2,
  optimizer: 'adam',
  schedule: 'cosine',
  loss: 'auto',
  formats: ['archive', 'onnx-packed'],
  out: '/out/learned',
};

/** A learning job that has just started. */
export const learnJob: JobState = {
  id: 'job-2',
  spec: learnSpec,
  description: learnKind.describe(learnSpec),
  status: 'running',
  startedAt: '2026-01-01T00:00:00.000Z',
};

const { kind: _kind, format: _format, ...compressed } = compressReport;

/** A report of learned widths: three bits on average, two formats, one evaluation. */
export const learnReport: LearnReport = {
  ...compressed,
  kind: 'learn',
  method: 'diffq',
  formats: ['archive', 'onnx-packed'],
  bitsPerWeight: 3,
  layers: [{ ...layer, shape: [10, 100], bits: 3.5, bitsPerWeight: 3, histogram: { bits: [2, 4], weights: [250, 750] } }],
  verification: {
    passed: true,
    scope: 'whole',
    checks: [{ name: 'archive: bytes', passed: true, measured: 0, limit: 0, unit: 'mismatches' }],
  },
  training: {
    steps: 100,
    bestStep: 80,
    mode: 'loop',
    modeReason: 'Whole steps run inside the runtime.',
    stepsPerSecond: 50,
    curve: [{ step: 100, loss: 0.1, metrics: { bits: 3 } }],
    evaluations: [{ step: 80, loss: 0.2, value: 0.96, metric: 'accuracy', bitsPerWeight: 3 }],
  },
  sizes: { float32: 16e6, estimated: 1.6e6, true: 1.5e6, onDisk: { archive: 1.7e6, 'onnx-packed': 2e6 } },
  quality: {
    before: { metric: 'accuracy', value: 0.97778, loss: 0.085, samples: 360 },
    after: { metric: 'accuracy', value: 0.975, loss: 0.08, samples: 360 },
  },
};

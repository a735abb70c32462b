import { describe, expect, test } from 'vitest';
import { compareKind } from '../../../src/engine/jobs/compare';
import { compressKind } from '../../../src/engine/jobs/compress';
import { evaluateKind } from '../../../src/engine/jobs/evaluate';
import { summaryText } from '../../../src/engine/reports/summaryText';
import type { CompressReport, LayerReport } from '../../../src/protocol/report';

const environment = { provider: 'cpu', providerReason: 'No GPU libraries.', runtime: 'onnxruntime-node 1.30.0', threads: 2 };

function layer(index: number): LayerReport {
  return {
    name: `model.layers.${index}.mlp.down_proj.weight`,
    shape: [256, 688],
    bits: 4,
    bitsPerWeight: 4.65,
    weights: 176_128,
    relativeError: 0.1 + index / 1000,
    bytesBefore: 352_256,
    bytesAfter: 102_400,
  };
}

const compressed: CompressReport = {
  kind: 'compress',
  version: '0.1.0',
  method: 'rtn',
  format: 'onnx-packed',
  settings: { bits: 4, groupSize: 32, symmetric: false, head: true },
  source: { path: '/models/base', architecture: 'LlamaForCausalLM', files: [] },
  seed: 0,
  parameterCount: 3_950_848,
  bitsPerWeight: 4.65,
  bytesBefore: 7_901_696,
  bytesAfter: 3_901_696,
  loadedBytes: 15_803_392,
  layers: [layer(0), layer(1)],
  verification: {
    passed: true,
    scope: 'whole',
    checks: [
      { name: 'bytes', passed: true, measured: 0, limit: 0, unit: 'mismatches' },
      { name: 'logits-exact', passed: true, measured: 1.234e-5, limit: 1e-3, unit: 'absolute', note: 'optimisation disabled' },
    ],
  },
  latency: {
    batch: 64,
    beforeMilliseconds: 10,
    afterMilliseconds: 12,
    summary: 'The smaller file is slower here: 12 ms instead of 10 ms.',
  },
  environment,
  seconds: 3.21,
  peakRssBytes: 300 * 2 ** 20,
  outputs: [
    { path: 'onnx/model.onnx', bytes: 3_901_696 },
    { path: 'config.json', bytes: 800 },
  ],
  primary: 'onnx/model.onnx',
  notes: ['First.', 'Second.'],
};

describe('reports as text', () => {
  test('compress', () => {
    expect(compressKind.text(compressed, { verbose: false })).toMatchInlineSnapshot(`
      "Layer                                Shape      Bits  Bits/weight  Relative error   Before    After
      model.layers.0.mlp.down_proj.weight  256 x 688     4         4.65          0.1000  344 KiB  100 KiB
      model.layers.1.mlp.down_proj.weight  256 x 688     4         4.65          0.1010  344 KiB  100 KiB

      Method           rtn (bits 4, groupSize 32, head)
      Size             7.54 MiB -> 3.72 MiB (49 %)
      Loaded size      15.1 MiB in memory once loaded
      Bits per weight  4.65 over 2 compressed layers
      Verification     passed (whole model)
                       ok     bytes: 0 (limit 0 mismatches)
                       ok     logits-exact: 1.23e-5 (limit 0.001 absolute), optimisation disabled
      Speed            The smaller file is slower here: 12 ms instead of 10 ms.
      Ran on           cpu, 2 threads: No GPU libraries.
      Notes            First.
                       Second.
      Time             3.2 s, 300 MiB of memory at peak
      Files            onnx/model.onnx (3.72 MiB), primary
                       config.json (800 B)
      "
    `);
  });

  test('a failed verification is prominent', () => {
    const checks = [{ name: 'logits-exact', passed: false, measured: 2, limit: 1e-3, unit: 'absolute' }];
    expect(compressKind.text({ ...compressed, verification: { passed: false, scope: 'whole', checks } }, { verbose: false })).toMatch(
      /^Verification +FAILED \(whole model\)\n +FAILED logits-exact: 2 \(limit 0\.001 absolute\)$/m,
    );
  });

  test('many layers: those with the largest errors, worst first, unless all are requested', () => {
    const many = { ...compressed, layers: Array.from({ length: 50 }, (_, index) => layer(index)) };
    const lines = compressKind.text(many, { verbose: false }).split('\n');
    expect(lines[1]).toMatch(/^model\.layers\.49\./);
    expect(lines[11]).toBe('... the 10 layers with the largest error of 50 (--verbose shows all).');
    expect(compressKind.text(many, { verbose: true }).split('\n')[50]).toMatch(/^model\.layers\.49\./);
  });

  test('evaluate', () => {
    expect(
      evaluateKind.text(
        {
          kind: 'evaluate',
          metric: 'perplexity',
          value: 98.99712,
          loss: 4.595091,
          tokens: 8192,
          windows: 32,
          window: 256,
          choices: ['BOS is <s> of tokenizer_config.json.', 'Text read as UTF-8.'],
          environment,
          seconds: 75.4,
          tokensPerSecond: 1234.6,
          peakRssBytes: 200 * 2 ** 20,
        },
        { verbose: false },
      ),
    ).toMatchInlineSnapshot(`
      "Perplexity  98.997
      Loss        4.59509 nats per token
      Over        8,192 tokens scored in 32 windows of 256
      Choices     BOS is <s> of tokenizer_config.json.
                  Text read as UTF-8.
      Ran on      cpu, 2 threads, onnxruntime-node 1.30.0
      Because     No GPU libraries.
      Time        1 min 15 s, 1,235 tokens/s
      Memory      200 MiB at peak
      "
    `);
  });

  test('compare: differences first, largest error on top, then the counts', () => {
    expect(
      compareKind.text(
        {
          kind: 'compare',
          first: 'a',
          second: 'b',
          equal: 1,
          changed: 2,
          missing: 1,
          tensors: [
            { name: 'same', status: 'equal' },
            { name: 'small', status: 'changed', cosine: 0.9999991, sqnr: 58.26, largestError: 1.2e-5, relativeError: 0.0012 },
            { name: 'large', status: 'changed', cosine: 0.99, sqnr: 19.04, largestError: 0.25, relativeError: 0.11 },
            { name: 'gone', status: 'only-in-first' },
          ],
          seconds: 0.5,
          peakRssBytes: 2 ** 20,
        },
        { verbose: false },
      ),
    ).toMatchInlineSnapshot(`
      "Tensor  Status           Cosine  SQNR dB  Largest error  Relative error  Note
      gone    only in first
      large   changed        0.990000     19.0           0.25            0.11
      small   changed        0.999999     58.3       1.200e-5          0.0012

      1 equal, 2 changed, 1 in one model only or with a different shape (500 ms, 1.00 MiB memory)
      "
    `);
  });

  test('inspect with statistics of one tensor shows its histogram; names from the file are escaped', () => {
    const statistics = {
      name: 'x\u001b[2J',
      dtype: 'float32' as const,
      shape: [4],
      count: 4,
      minimum: -1,
      maximum: 1,
      mean: 0,
      standardDeviation: 0.5,
      zeros: 1,
      notFinite: 0,
      histogram: { minimum: -1, maximum: 1, counts: [1, 3] },
    };
    expect(
      summaryText(
        {
          path: '/m.safetensors',
          name: 'm',
          format: 'safetensors',
          architecture: 'unknown',
          parameters: 4,
          bytes: 16,
          tensors: [{ name: 'x\u001b[2J', dtype: 'float32', shape: [4], bytes: 16, role: 'other', block: '', file: '', statistics }],
          diagnostics: [{ severity: 'warning', code: 'odd', message: 'Odd.', file: 'm', offset: 8 }],
          metadata: {},
        },
        { verbose: false },
      ),
    ).toMatchInlineSnapshot(`
      "Model         m
      Format        safetensors
      Architecture  unknown
      Parameters    4
      Size          16 B (16 bytes of weights)
      Types         float32: 1 tensor, 16 B

      Tensor  Type     Shape  Size  Minimum  Maximum  Mean  Deviation  Zeros  Not finite
      x?[2J   float32  4      16 B       -1        1     0        0.5      1           0

      From  Values
        -1       1  #################
         0       3  ##################################################

      warning: Odd. at byte 8
      "
    `);
  });
});

import type { Tensor } from 'onnxruntime-node';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import type { CompressSpec, OutputFormat } from '../../../src/protocol/jobs';
import { test } from '../../support/fixtures';
import { plainOrt } from '../../support/ort';
import { runModel } from '../../support/runGraph';
import { workContext } from '../../support/workContext';

interface GoldenArray {
  readonly dtype: 'float32' | 'int64';
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

interface GoldenCase {
  readonly title: string;
  /** The model's bytes in base64. */
  readonly model: string;
  readonly compressed: readonly string[];
  readonly embeddings: boolean;
  readonly inputs: Readonly<Record<string, GoldenArray>>;
  readonly outputs: readonly GoldenArray[];
}

const path = fileURLToPath(new URL('../../golden/formats/rewrittenOnnx.json', import.meta.url));
const { cases } = JSON.parse(readFileSync(path, 'utf8')) as { readonly cases: readonly GoldenCase[] };
/** Largest difference in parts of the largest output: 8-bit kernels of onnx-fast round activations; an archive gives float16 weights back as float16. */
const toleranceOf = (format: OutputFormat, title: string): number =>
  format === 'onnx-fast' ? 2e-2 : format === 'archive' && title.startsWith('float16') ? 5e-4 : 2e-5;
const formats: readonly OutputFormat[] = ['onnx', 'onnx-fast', 'onnx-packed', 'archive'];

function tensorOf({ dtype, shape, values }: GoldenArray): Tensor {
  return dtype === 'int64'
    ? new plainOrt.Tensor('int64', BigInt64Array.from(values.map(BigInt)), [...shape])
    : new plainOrt.Tensor('float32', Float32Array.from(values), [...shape]);
}

describe.each(cases)('$title', ({ title, model, compressed, embeddings, inputs, outputs }) => {
  test.for(formats)('as %s computes what numpy and ONNX Runtime compute with the rounded weights', async (format, { folder, runtime }) => {
    const source = join(folder, 'model.onnx');
    writeFileSync(source, Buffer.from(model, 'base64'));
    const compress = (spec: Partial<CompressSpec> & Pick<CompressSpec, 'model' | 'out'>) =>
      compressModel({ kind: 'compress', method: 'rtn', parameters: {}, format, ...spec }, workContext(runtime));
    // One scale for each tensor: the outputs do not depend on how a weight is seen as a matrix.
    const parameters = { bits: 8, symmetric: true, groupSize: 'tensor', scales: 'float32' };
    const out = join(folder, format);
    const report = await compress({ model: source, out, parameters, embeddings });
    expect(report.verification.passed).toBe(true);
    expect(report.layers.map(({ name }) => name).sort()).toEqual([...compressed].sort());
    let file = join(out, report.primary);
    if (format === 'archive') {
      const unpacked = join(folder, 'unpacked');
      file = join(unpacked, (await compress({ model: out, out: unpacked, method: 'none', format: 'onnx' })).primary);
    }
    const feeds = Object.fromEntries(Object.entries(inputs).map(([name, array]) => [name, tensorOf(array)]));
    for (const graphOptimizationLevel of ['disabled', 'basic'] as const) {
      const found = Object.values(await runModel(file, feeds, { graphOptimizationLevel }));
      expect(found.map(({ shape }) => shape)).toEqual(outputs.map(({ shape }) => shape));
      found.forEach(({ data }, index) => {
        const largest = Math.max(...outputs[index]!.values.map(Math.abs));
        outputs[index]!.values.forEach((value, place) =>
          expect(Math.abs(Number(data[place]) - value)).toBeLessThanOrEqual(toleranceOf(format, title) * largest),
        );
      });
    }
    // Rows that share a scale of their own: the report's errors are those of the file, whatever the view.
    const rows = await compress({ model: source, out: join(folder, 'rows'), parameters: { bits: 8, groupSize: 'row' }, embeddings });
    expect(rows.verification.passed).toBe(true);
    for (const { relativeError } of rows.layers) expect(relativeError).toBeLessThan(0.01);
  });
});

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect } from 'vitest';
import { compressModel } from '../../../src/engine/compress/compressModel';
import { test } from '../../support/fixtures';
import { feedTensor, runModel } from '../../support/runGraph';
import { workContext } from '../../support/workContext';

interface Golden {
  readonly x: { readonly shape: readonly number[]; readonly values: readonly number[] };
  readonly cases: readonly {
    readonly title: string;
    /** The model's bytes in base64. */
    readonly model: string;
    /** The step to which outputs are rounded; 0 where they are not. */
    readonly step: number;
    readonly results: readonly { readonly bits: number; readonly groupSize: number; readonly values: readonly number[] }[];
  }[];
}

const path = fileURLToPath(new URL('../../golden/formats/quantizedNeighbours.json', import.meta.url));
const { x, cases } = JSON.parse(readFileSync(path, 'utf8')) as Golden;
const levels = ['disabled', 'basic', 'extended', 'all'] as const;

describe.each(cases)('$title', ({ model, step, results }) => {
  test.for(results)(
    '$bits bits in groups of $groupSize: the runtime computes what numpy and ONNX Runtime compute with the rounded weights, at every level',
    async ({ bits, groupSize, values }, { folder, runtime }) => {
      const source = join(folder, 'model.onnx');
      writeFileSync(source, Buffer.from(model, 'base64'));
      const out = join(folder, 'out');
      const report = await compressModel(
        {
          kind: 'compress',
          model: source,
          method: 'rtn',
          parameters: { bits, groupSize, symmetric: true, scales: 'float32' },
          format: 'onnx',
          out,
        },
        workContext(runtime),
      );
      expect(report.verification).toMatchObject({ passed: true, scope: 'whole' });
      const largest = Math.max(...values.map(Math.abs));
      for (const graphOptimizationLevel of levels) {
        const { y } = await runModel(
          join(out, report.primary),
          { x: feedTensor('float32', [...x.shape], x.values) },
          { graphOptimizationLevel },
        );
        const found = Array.from(y!.data as ArrayLike<number>, Number);
        expect(found).toHaveLength(values.length);
        const differences = found.map((value, index) => Math.abs(value - values[index]!));
        // Rounded outputs may be a step apart where a sum is halfway between two; more than one of a hundred is no accident.
        expect(Math.max(...differences)).toBeLessThanOrEqual(step + 2e-5 * largest);
        expect(differences.filter((difference) => difference > 2e-5 * largest).length).toBeLessThanOrEqual(values.length / 100);
      }
    },
  );
});

import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { modelName } from '../../src/common/modelName';
import { createOutputFolder } from '../../src/engine/formats/files/outputFolder';
import type { ReadingKind } from '../../src/engine/jobs/stepKind';
import { choice, modelField, outField, wholeNumber } from '../../src/protocol/fields';
import type { JobSpec } from '../../src/protocol/jobs';
import type { MethodDescription } from '../../src/protocol/methods';
import type { ModelReport } from '../../src/protocol/report';

interface StampSpec extends JobSpec {
  readonly kind: 'stamp';
  readonly model: string;
  readonly method: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly copies: number;
  readonly ink?: string;
  readonly out: string;
}

interface StampReport extends ModelReport {
  readonly kind: 'stamp';
  readonly copies: number;
}

const method: MethodDescription = {
  id: 'rubber',
  family: 'merge',
  label: 'Rubber',
  summary: 'Presses.',
  source: { title: 'None', url: 'https://example.org/' },
  parameters: [{ key: 'pressure', label: 'Pressure', doc: 'How hard.', kind: 'integer', min: 1, max: 3, default: 2 }],
  needs: [],
};

/** A kind that no other file of the project knows: it copies a safetensors file and writes a report beside it. */
export const stampKind: ReadingKind<StampSpec, StampReport> = {
  id: 'stamp',
  label: 'Stamp',
  summary: 'Copies a model, for tests.',
  writesModel: true,
  command: { name: 'stamp-model', summary: 'Copy a model, for tests.', examples: ['loomweight stamp-model a.safetensors --out b'] },
  fields: [
    modelField('A safetensors file.'),
    { key: 'method', doc: 'How.', type: { kind: 'method', default: method.id } },
    { key: 'parameters', doc: 'Of the method.', type: { kind: 'parameters' } },
    wholeNumber('copies', 'How many files to write.', 1, { max: 4 }),
    choice('ink', 'With copies: the colour.', ['blue', 'red']),
    outField,
  ],
  rules: [{ rule: 'belongs', keys: ['ink'], to: 'copies' }],
  methods: () => [method],
  complete: (values) => ({
    method: method.id,
    parameters: {},
    copies: 1,
    ...(values as Partial<StampSpec> & Pick<StampSpec, 'model' | 'out'>),
  }),

  inputs: ({ model }) => [model],
  outputs: ({ out }) => [out],
  describe: ({ model, copies, out }) => ({
    title: `Stamp ${modelName(model)}`,
    subtitle: `${copies} copies`,
    output: out,
    model: { source: modelName(model), method: 'rubber' },
    opens: 'layers',
  }),

  forecast: () => Promise.resolve({ hostMemoryBytes: 1e6, diskBytes: 1e4, seconds: 1 }),
  computes: false,
  run: async (spec, { progress, note, seed }) => {
    const output = await createOutputFolder(spec.out);
    for (let copy = 0; copy < spec.copies; copy += 1) {
      await copyFile(spec.model, join(output.path, `copy-${copy}.safetensors`));
      progress({ phase: 'Stamping', done: copy + 1, total: spec.copies, unit: 'copies' });
    }
    note('stamped');
    const report: StampReport = {
      kind: 'stamp',
      version: '9.9.9',
      method: spec.method,
      settings: spec.parameters,
      source: { path: spec.model, architecture: 'none', files: [] },
      seed,
      parameterCount: 6,
      bitsPerWeight: 32,
      bytesBefore: 24,
      bytesAfter: 24 * spec.copies,
      layers: [{ name: 'w', shape: [2, 3], bits: 32, bitsPerWeight: 32, weights: 6, relativeError: 0, bytesBefore: 24, bytesAfter: 24 }],
      verification: { passed: true, scope: 'bytes', checks: [] },
      environment: { provider: 'cpu', providerReason: 'It only copies.', runtime: 'none', threads: 1 },
      seconds: 0.5,
      peakRssBytes: 1,
      outputs: [{ path: 'copy-0.safetensors', bytes: 100 }],
      primary: 'copy-0.safetensors',
      notes: [],
      copies: spec.copies,
    };
    await writeFile(join(output.path, 'report.json'), JSON.stringify(report));
    await output.commit();
    return report;
  },

  outcome: ({ copies }) => `${copies} copies`,
  text: ({ copies }, { out = 'the recipe' }) => `${copies} copies for ${out}\n`,
  page: (report, spec) => ({
    title: `Stamped ${report.copies} times`,
    subtitle: spec?.model ?? 'a step',
    figures: [{ label: 'Copies', value: String(report.copies) }],
    sections: [],
    actions: [{ id: 'bitAllocation', label: 'Bit Allocation' }],
  }),
};

import Ajv from 'ajv';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { runCommandLine } from '../../../src/cli/runCommandLine';
import type { Terminal } from '../../../src/cli/terminal';
import { stepKinds } from '../../../src/engine/jobs/index';
import { describeKind } from '../../../src/engine/jobs/stepKind';
import { findModels } from '../../../src/engine/models/findModels';
import { openContainer } from '../../../src/engine/models/openContainer';
import { summarize } from '../../../src/engine/models/summarize';
import { checkRecipe } from '../../../src/engine/recipe/checkRecipe';
import { completeRecipe } from '../../../src/engine/recipe/completeRecipe';
import { recipeJsonSchema } from '../../../src/engine/recipe/jsonSchema';
import { describeAllMethods } from '../../../src/engine/services/allMethods';
import { completeStep } from '../../../src/engine/services/completeStep';
import type { CallContext } from '../../../src/engine/services/callContext';
import { Journal } from '../../../src/engine/services/journal';
import { JobRunner } from '../../../src/engine/services/jobRunner';
import { Runtimes } from '../../../src/engine/services/runtimes';
import { bitAllocationView } from '../../../src/extension/reports/bitAllocationView';
import { jobView } from '../../../src/extension/reports/jobView';
import type { JobSpec, RecipeSpec } from '../../../src/protocol/jobs';
import type { RecipeReport } from '../../../src/protocol/report';
import { stampKind } from '../../support/dummyKind';
import { temporaryFolder } from '../../support/fixtures';

// One file (test/support/dummyKind.ts) and one line: everything below works by asking the kind.
const kinds = [...stepKinds, stampKind];

const folder = temporaryFolder();
let model: string;
let runner: JobRunner;

beforeAll(() => {
  model = join(folder, 'plain.safetensors');
  const header = Buffer.from(JSON.stringify({ w: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(model, Buffer.concat([length, header, Buffer.alloc(24)]));
  runner = new JobRunner(new Runtimes(), { kinds, journal: new Journal(join(folder, 'jobs')), stateFolder: join(folder, 'state') });
});

/** Runs a command line in this process and collects what it writes. */
async function commandLine(...words: string[]): Promise<{ readonly code: number; readonly out: string; readonly error: string }> {
  const text = { out: '', error: '' };
  const code = await runCommandLine(words, {
    kinds,
    runJob: (spec) => runner.run(spec, {}),
    terminal: (choices): Terminal => ({
      folder,
      writeOut: (part) => void (text.out += part),
      writeError: (part) => void (text.error += part),
      rewriteLine: (part) => void (text.error += part),
      canRewrite: false,
      columns: 100,
      canStyle: false,
      ...choices,
    }),
  });
  return { code, ...text };
}

describe('a recipe', () => {
  const steps = (fields: string) =>
    `steps:\n  - { kind: stamp, name: twice, model: plain.safetensors, out: stamped${fields} }\n  - { kind: inspect, model: twice }\n`;
  const sound = steps(', copies: 2, ink: red, parameters: { pressure: 3 }');
  const file = () => join(folder, 'stamp.loom.yaml');

  test('is checked, by the engine and by the schema', async () => {
    const check = async (text: string) => (await checkRecipe({ file: file(), text }, kinds)).map(({ message }) => message);
    const validate = new Ajv({ strict: false }).compile(recipeJsonSchema(kinds));
    expect(await check(sound)).toEqual([]);
    expect(validate(parse(sound))).toBe(true);
    for (const [fields, message] of [
      [', copies: 5', 'copies must be a whole number from 1 to 4, got 5.'],
      [', ink: red', 'ink requires copies, which the step does not have.'],
      [', method: metal', 'Unknown method "metal". Methods: rubber.'],
      [', parameters: { pressure: 4 }', 'pressure must be a whole number from 1 to 3, got 4.'],
    ] as const) {
      expect(await check(steps(fields))).toEqual([message]);
      expect(validate(parse(steps(fields)))).toBe(false);
    }
    // Without the kind, its name is a mistake.
    expect(await checkRecipe({ file: file(), text: sound }, stepKinds)).toHaveLength(2);
  });

  test('is completed', () => {
    const labels = (text: string) => {
      const lines = text.split('\n');
      return completeRecipe({ text, position: { line: lines.length - 1, character: lines.at(-1)?.length ?? 0 } }, kinds).map(
        ({ label }) => label,
      );
    };
    expect(labels('steps:\n  - kind: ')).toContain('stamp');
    expect(labels('steps:\n  - kind: stamp\n    ')).toEqual(['name', 'model', 'method', 'parameters', 'copies', 'ink', 'out']);
    expect(labels('steps:\n  - kind: stamp\n    parameters:\n      ')).toEqual(['pressure']);
    expect(labels('steps:\n  - kind: stamp\n    name: twice\n  - kind: inspect\n    model: ')).toEqual(['twice']);
  });

  test('runs, provides its model to later steps, and resumes', async () => {
    writeFileSync(file(), sound);
    const spec: RecipeSpec = { kind: 'recipe', recipe: file(), resume: true, seed: 7 };
    const lines: string[] = [];
    const emit: CallContext['emit'] = (name, value) => {
      if (name === 'log') lines.push((value as { message: string }).message);
      if (name === 'progress') lines.push((value as { phase: string }).phase);
    };
    expect((await runner.forecast(spec)).diskBytes).toBe(1e4);
    const report = (await runner.run(spec, { emit })) as RecipeReport;
    expect(report.steps).toMatchObject([
      { name: 'twice', report: { kind: 'stamp', copies: 2, seed: 7, settings: { pressure: 3 } } },
      { name: 'inspect-2', report: { kind: 'inspect', summary: { name: 'stamped', compressed: { method: 'rubber', bitsPerWeight: 32 } } } },
    ]);
    expect(lines).toContain('Step 1 of 2 (twice): Stamp plain.safetensors (2 copies).');
    expect(lines).toContain('Step 1 of 2 (twice): Stamping');
    expect(lines).toContain('stamped');
    const again = (await runner.run(spec, {})) as RecipeReport;
    expect(again.steps.map(({ skipped }) => skipped)).toEqual([true, true]);
    const view = runner.view(spec, again);
    expect(view.page.sections[0]).toMatchObject({
      heading: 'twice',
      rows: [{ value: 'stamp: Stamped 2 times' }, { label: 'Copies', value: '2' }],
    });
  });
});

test('a recipe that writes to two disks is checked against both', async () => {
  const recipe = join(folder, 'two.loom.yaml');
  const step = (out: string) => `  - { kind: stamp, model: plain.safetensors, out: ${out} }\n`;
  writeFileSync(recipe, `steps:\n${step('large/a')}${step('small/b')}${step('small/c')}`);
  const small = join(folder, 'small');
  const forecastWith = (freeBytes: number) =>
    new JobRunner(new Runtimes(), {
      kinds,
      journal: new Journal(join(folder, 'jobs')),
      stateFolder: join(folder, 'state'),
      diskOf: (path) => Promise.resolve(path.startsWith(small) ? { device: 1, freeBytes } : { device: 2, freeBytes: 1e9 }),
    }).forecast({ kind: 'recipe', recipe } as RecipeSpec);
  // Each step needs 10,000 bytes.
  expect((await forecastWith(20_000)).shortfalls).toEqual([]);
  const { shortfalls, disks } = await forecastWith(19_999);
  expect(shortfalls).toHaveLength(1);
  expect(shortfalls[0]).toContain(`of disk space for ${join(small, 'b')} and ${join(small, 'c')}, but only`);
  expect(disks?.map(({ bytes }) => bytes)).toEqual([10_000, 20_000]);
});

describe('the command line', () => {
  test('has the command in its help, with a flag for each field', async () => {
    expect((await commandLine('--help')).out).toMatch(/^ +stamp-model +Copy a model, for tests\.$/m);
    expect((await commandLine('run', '--help')).out).toMatch(
      /kind inspect, compress, learn, evaluate, compare,\s+generate,\s+calibrate\s+and\s+stamp/,
    );
    const { out } = await commandLine('stamp-model', '--help');
    expect(out).toContain('Usage: loomweight stamp-model MODEL --out DIR [options]');
    for (const flag of ['--method ID', '--pressure N', '--copies N', '--ink blue|red', '--out DIR']) expect(out).toContain(`  ${flag}`);
    expect((await commandLine('methods')).out).toContain('rubber: Rubber');
  });

  test('runs the job and shows its report, as text and as JSON', async () => {
    const run = (out: string, ...words: string[]) =>
      commandLine('stamp-model', 'plain.safetensors', '--copies', '3', '--pressure=1', '--seed', '5', '--out', out, ...words);
    expect(await run('by-hand')).toMatchObject({ code: 0, out: `3 copies for ${join(folder, 'by-hand')}\n` });
    const { code, out } = await run('for-scripts', '--json');
    expect([code, JSON.parse(out)]).toMatchObject([0, { kind: 'stamp', copies: 3, seed: 5, settings: { pressure: 1 } }]);
    expect(JSON.parse(readFileSync(join(folder, 'for-scripts', 'report.json'), 'utf8'))).toEqual(JSON.parse(out));
  });

  test.each([
    [['--copies', '5'], "--copies must be a whole number from 1 to 4, got '5'."],
    [['--ink', 'red'], '--ink requires --copies, which is not given.'],
    [['--pressure', '4'], "--pressure must be a whole number from 1 to 3, got '4'."],
    [['--method', 'metal'], "--method must be one of rubber, got 'metal'."],
  ])('%j is refused', async (words, message) => {
    const { code, error } = await commandLine('stamp-model', 'plain.safetensors', '--out', 'none', ...words);
    expect([code, error]).toEqual([2, `loomweight: ${message}\n`]);
  });
});

describe('its output', () => {
  const spec = (): JobSpec =>
    ({ kind: 'stamp', model, method: 'rubber', parameters: {}, copies: 1, out: join(folder, 'model') }) as JobSpec;

  test('is a model, found, opened and described like any other', async () => {
    await runner.run(spec(), {});
    const found = await findModels(folder);
    expect(found.find(({ name }) => name === 'model')).toMatchObject({ path: join(folder, 'model'), bytes: 100 });
    const container = await openContainer(join(folder, 'model'));
    try {
      expect([...container.tensors.keys()]).toEqual(['w']);
      expect(await summarize(container, join(folder, 'model'))).toMatchObject({
        name: 'model',
        parameters: 6,
        compressed: { method: 'rubber', bitsPerWeight: 32 },
      });
    } finally {
      await container.close();
    }
  });

  test('is shown in the editor as described by the engine', async () => {
    const report = await runner.run({ ...spec(), out: join(folder, 'shown') } as JobSpec, {});
    const description = runner.describe(spec());
    const { outcome, page } = runner.view(spec(), report);
    expect(page).toMatchObject({ title: 'Stamped 1 times', subtitle: model });
    const job = { id: 'j', spec: spec(), description, status: 'done' as const, startedAt: '', report, outcome };
    expect(bitAllocationView(job)).toMatchObject({ model: 'plain.safetensors', method: 'rubber', bytesAfter: 24, curves: false });
    expect(jobView(job, [])).toMatchObject({ title: 'Stamp plain.safetensors', statusText: '1 copies', elapsedSeconds: 0.5 });
    expect(jobView(job, []).actions.map(({ id }) => id)).toEqual(['openReport', 'bitAllocation', 'revealOutput']);
  });
});

describe('a form', () => {
  const fill = (values: Readonly<Record<string, unknown>>) => completeStep(kinds, { kind: 'stamp', values });

  test('that is complete becomes a job with defaults', () => {
    expect(fill({ model: '/m', out: '/o', ink: 'red', copies: 2 })).toEqual({
      problems: [],
      spec: { kind: 'stamp', model: '/m', method: 'rubber', parameters: {}, copies: 2, ink: 'red', out: '/o' },
    });
  });

  test('that is incomplete says what to set', () => {
    expect(fill({ model: '/m', ink: 'red' })).toEqual({
      problems: [
        { key: 'out', message: 'Set Out: Folder to write, relative to this file.' },
        { key: 'ink', message: 'Ink requires Copies, which is not set.' },
      ],
    });
    expect(() => completeStep(kinds, { kind: 'nothing', values: {} })).toThrow("Unknown kind of job 'nothing'. Kinds:");
  });
});

test('the kind is data for forms and documents', () => {
  expect(JSON.parse(JSON.stringify(describeKind(stampKind)))).toEqual(describeKind(stampKind));
  expect(describeKind(stampKind)).toMatchObject({ id: 'stamp', writesModel: true, methods: [{ id: 'rubber' }] });
  expect(describeAllMethods(kinds).map(({ id }) => id)).toContain('rubber');
  expect(() => runner.describe({ kind: 'nothing' })).toThrow("Unknown kind of job 'nothing'. Kinds: inspect, compress,");
});

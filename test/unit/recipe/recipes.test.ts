import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { stepKinds } from '../../../src/engine/jobs/index';
import { completeLearnSpec } from '../../../src/protocol/learnDefaults';
import { analyzeRecipe } from '../../../src/engine/recipe/analyzeRecipe';
import { checkRecipe, planRecipe } from '../../../src/engine/recipe/checkRecipe';
import { runRecipe } from '../../../src/engine/recipe/runRecipe';
import type { CompressSpec } from '../../../src/protocol/jobs';
import type { JobReport } from '../../../src/protocol/report';
import { temporaryFolder } from '../../support/fixtures';

const folder = temporaryFolder();

beforeAll(async () => {
  await mkdir(join(folder, 'model'));
  await writeFile(join(folder, 'model', 'config.json'), '{}');
  await writeFile(join(folder, 'text.txt'), 'text');
});

const recipe = `
inputs:
  base: model
settings: { seed: 7, maxMemory: 2GB }
steps:
  - kind: compress
    name: small
    model: base
    method: rtn
    parameters: { bits: 3, groupSize: row }
    overrides:
      - glob: '*.down_proj.weight'
        parameters: { bits: 8 }
    out: out
  - kind: evaluate
    model: small
    text: text.txt
    window: 256
  - { kind: compare, first: base, second: small }
  - { kind: inspect, model: model }
`;

/** `line:character message` of every finding, one-based as people count. */
async function findings(text: string): Promise<readonly string[]> {
  const found = await checkRecipe({ file: join(folder, 'r.loom.yaml'), text }, stepKinds);
  return found.map(({ start, message }) => `${start.line + 1}:${start.character + 1} ${message}`);
}

test('a learning step has the defaults of the command', () => {
  const text = 'steps:\n  - { kind: learn, model: model, data: text.txt, exclude: norm, out: o }\n';
  const [step] = analyzeRecipe(join(folder, 'r.loom.yaml'), text, stepKinds).steps;
  expect(step?.spec).toEqual(
    completeLearnSpec({ model: join(folder, 'model'), data: join(folder, 'text.txt'), out: join(folder, 'o'), exclude: ['norm'] }, true),
  );
});

describe('a valid recipe', () => {
  test('has no findings and becomes specifications with absolute paths', async () => {
    expect(await findings(recipe)).toEqual([]);
    const { steps, settings } = analyzeRecipe(join(folder, 'r.loom.yaml'), recipe, stepKinds);
    expect(settings).toEqual({ seed: 7, maxMemory: 2e9 });
    expect(steps.map(({ name, spec }) => ({ name, spec }))).toEqual([
      {
        name: 'small',
        spec: {
          kind: 'compress',
          model: join(folder, 'model'),
          method: 'rtn',
          parameters: { bits: 3, groupSize: 'row' },
          overrides: [{ glob: '*.down_proj.weight', parameters: { bits: 8 } }],
          format: 'onnx-packed',
          out: join(folder, 'out'),
        },
      },
      { name: 'evaluate-2', spec: { kind: 'evaluate', model: join(folder, 'out'), text: join(folder, 'text.txt'), window: 256 } },
      { name: 'compare-3', spec: { kind: 'compare', first: join(folder, 'model'), second: join(folder, 'out') } },
      { name: 'inspect-4', spec: { kind: 'inspect', model: join(folder, 'model') } },
    ]);
  });

  test('the bundled sample is valid', async () => {
    const file = join(__dirname, '..', '..', '..', 'media', 'samples', 'first.loom.yaml');
    expect(await checkRecipe({ file, text: await readFile(file, 'utf8') }, stepKinds)).toEqual([]);
  });

  test("flags override the recipe's settings", async () => {
    const file = join(folder, 'flags.loom.yaml');
    await writeFile(file, recipe);
    const plan = await planRecipe({ kind: 'recipe', recipe: file, seed: 9 }, stepKinds);
    expect(plan.steps.map(({ spec }) => [spec.seed, spec.maxMemory])).toEqual(Array.from({ length: 4 }, () => [9, 2e9]));
  });

  test('the default format follows bits and groups', () => {
    const format = (parameters: string) => {
      const text = `steps:\n  - { kind: compress, model: m, method: rtn, out: o, parameters: ${parameters} }\n`;
      const [step] = analyzeRecipe(join(folder, 'f.loom.yaml'), text, stepKinds).steps;
      return (step?.spec as CompressSpec).format;
    };
    expect(format('{ bits: 4, groupSize: 32 }')).toBe('onnx-fast');
    expect(format('{}')).toBe('onnx-fast');
    expect(format('{ bits: 3 }')).toBe('onnx-packed');
    expect(format('{ groupSize: 8 }')).toBe('onnx-packed');
    // One scale for a row or a tensor is repeated for every block of the kernel.
    expect(format('{ groupSize: row }')).toBe('onnx-fast');
    expect(format('{ groupSize: tensor }')).toBe('onnx-fast');
  });
});

describe('findings give the position and what to do', () => {
  const step = (lines: string) => `steps:\n  - kind: compress\n    model: model\n    method: rtn\n    out: out\n${lines}`;
  test.each([
    ['', ['1:1 The recipe is empty. It needs at least the key steps.']],
    ['# only a comment\n', ['1:1 The recipe is empty. It needs at least the key steps.']],
    ['- 1\n', ['1:1 A recipe is a mapping with the keys inputs, settings and steps.']],
    ['name: x\n', ['1:1 The recipe has no steps. Add the key steps with a list.']],
    ['steps: []\n', ['1:8 steps must be a list with at least one step.']],
    [
      'stpes:\n  - kind: inspect\n',
      ["1:1 A recipe has no key 'stpes'. Did you mean 'steps'?", '1:1 The recipe has no steps. Add the key steps with a list.'],
    ],
    [
      'steps:\n  - kind: comprss\n',
      ["2:11 kind must be one of inspect, compress, learn, evaluate, compare, generate, calibrate. Did you mean 'compress'?"],
    ],
    ['steps:\n  - model: model\n', ['2:5 The step has no kind. Kinds: inspect, compress, learn, evaluate, compare, generate, calibrate.']],
    ['steps:\n  - 5\n', ["2:5 A step is a mapping with the key kind, such as 'kind: compress'."]],
    [step('    parameters: { bits: 9 }\n'), ['6:25 bits must be a whole number from 1 to 8, got 9.']],
    [step('    parameters: { bist: 4 }\n'), ["6:19 Method 'rtn' has no parameter 'bist'. Did you mean 'bits'?"]],
    [
      step('    parameters: { groupSize: col }\n'),
      ['6:30 groupSize must be a whole number from 1 to 1048576, or row or tensor, got "col".'],
    ],
    [step('    parameters: 4\n'), ['6:17 parameters must be a mapping, got 4.']],
    [
      step('    format: onx\n'),
      ['6:13 format must be one of hf, onnx, onnx-fast, onnx-packed, archive, got "onx". Did you mean \'onnx\'?'],
    ],
    [step('    head: 3\n'), ['6:11 head must be true or false, got 3.']],
    [step('    overrides: [{ glob: a }]\n'), ['6:17 An override needs parameters, those that differ for these tensors.']],
    [
      step('    overrides: [{ parameters: { bits: 8 } }]\n'),
      ["6:17 An override needs glob, a pattern of tensor names such as '*.down_proj.weight'."],
    ],
    [step('    out: other\n'), ["6:5 The key 'out' appears twice. Remove one."]],
    [
      'steps:\n  - { kind: compress, model: model, method: nothing, out: o }\n',
      ['2:45 Unknown method "nothing". Methods: rtn, gptq, magnitude, wanda, sparsegpt, none.'],
    ],
    [
      'steps:\n  - { kind: compress, name: a, model: model, method: rtn, out: o }\n  - { kind: compress, name: a, model: model, method: rtn, out: o }\n',
      [
        "3:29 An earlier step is also named 'a'. Step names must be unique.",
        "3:64 Step 'a' writes to the same folder. Give each step a different folder.",
      ],
    ],
    ...[
      ['o3', 'o3/x'],
      ['o3', 'o3/x/y/'],
      ['o3/', './o4/../o3/x'],
    ].map(([outer, inner]): [string, unknown[]] => [
      `steps:\n  - { kind: compress, name: a, model: model, method: rtn, out: ${outer} }\n  - { kind: compress, name: b, model: model, method: rtn, out: ${inner} }\n`,
      [expect.stringMatching(/^3:64 Step 'a' writes to .*o3, which contains this folder\. Choose folders side by side/)],
    ]),
    [
      'steps:\n  - { kind: compress, name: a, model: model, method: rtn, out: o5/a }\n  - { kind: learn, name: b, model: model, data: text.txt, out: o5/ }\n',
      [expect.stringMatching(/^3:\d+ Step 'a' writes to .*o5.a, inside this folder\. Choose folders side by side/)],
    ],
    [
      'steps:\n  - { kind: compress, name: a, model: model, method: rtn, out: o/x }\n  - { kind: compress, name: b, model: model, method: rtn, out: o/xy }\n' +
        '  - { kind: compress, name: c, model: model, method: rtn, out: o/..x }\n',
      [],
    ],
    [
      'steps:\n  - { kind: inspect, name: look, model: model }\n  - { kind: inspect, model: look }\n',
      ["3:29 Step 'look' (inspect) does not write a model. Name a step that does, an input or a path."],
    ],
    [
      'steps:\n  - { kind: compress, name: small, model: model, method: rtn, out: o }\n  - { kind: inspect, model: smal }\n',
      [expect.stringMatching(/^3:29 'smal' does not exist at .*smal\. Did you mean 'small'\?$/)],
    ],
    [
      'inputs: { base: nowhere }\nsteps:\n  - { kind: inspect, model: base }\n',
      [expect.stringMatching(/^1:17 'nowhere' does not exist at /)],
    ],
    [
      'steps:\n  - { kind: compress, model: model, out: o }\n',
      ['2:5 The step needs method or budget: how to compress, or the bits per weight to reach.'],
    ],
    ['steps:\n  - { kind: compress, model: model, budget: 3.5, out: o }\n', []],
    [
      'steps:\n  - { kind: compress, model: model, method: rtn, unit: channel, out: o }\n',
      ['2:50 unit requires budget, which the step does not have.'],
    ],
    [
      'steps:\n  - { kind: learn, name: few, model: model, data: text.txt, out: o }\n  - { kind: evaluate, model: few, text: text.txt }\n',
      [],
    ],
    [
      'steps:\n  - { kind: learn, model: model, data: text.txt, targetBits: 3, penalty: 1, out: o }\n',
      ['2:65 targetBits and penalty cannot be combined. Give one of them.'],
    ],
    [
      'steps:\n  - { kind: learn, model: model, data: text.txt, method: rtn, out: o }\n',
      [expect.stringMatching(/^2:58 Unknown method "rtn"\. Methods: diffq, /)],
    ],
    [
      'steps:\n  - { kind: learn, model: model, data: text.txt, parameters: { bist: 4 }, out: o }\n',
      [expect.stringMatching(/^2:\d+ Method 'diffq' has no parameter 'bist'/)],
    ],
    [
      'steps:\n  - { kind: learn, model: model, data: text.txt, formats: [archive, onx], out: o }\n',
      [expect.stringMatching(/^2:\d+ formats must be a list of .*Did you mean 'onnx'/)],
    ],
    ['steps:\n  - { kind: evaluate, model: model }\n', ['2:5 The step needs text or data: what to measure the model on.']],
    [
      'steps:\n  - { kind: evaluate, model: model, text: text.txt, data: model }\n',
      ['2:53 text and data cannot be combined. Give one of them.'],
    ],
    ['steps:\n  - { kind: evaluate, model: model, data: model, window: 2 }\n', ['2:50 window requires text, but the step has data.']],
    [
      'settings: { threads: many, maxMemory: -1 }\nsteps:\n  - { kind: inspect, model: model }\n',
      [
        '1:22 threads must be a whole number from 1 to 2147483647, got "many".',
        '1:39 maxMemory must be a size such as 3GB or 512MiB, got -1.',
      ],
    ],
    [
      'a: &x 1\nsteps:\n  - { kind: inspect, model: *x }\n',
      [
        "1:1 A recipe has no key 'a'. Keys: name, inputs, settings, steps.",
        '3:29 Aliases (*name) are not supported in recipes. Write the value out, or name it under inputs.',
        '3:29 model must be a path, got nothing.',
      ],
    ],
  ])('%j', async (text, expected) => {
    expect(await findings(text)).toEqual(expected);
  });

  test('broken YAML is reported where it breaks', async () => {
    const found = await findings('steps:\n  - kind: inspect\n    model: [model\n');
    expect(found.join('\n')).toMatch(/^4:1 /m);
  });
});

describe('hostile files give findings quickly', () => {
  const nine = Array.from(
    { length: 9 },
    (_, index) => `a${index}: &a${index} [${Array.from({ length: 9 }, () => (index === 0 ? '1' : `*a${index - 1}`)).join(',')}]`,
  ).join('\n');
  test.each([
    ['alias bomb', nine],
    ['deep brackets', '['.repeat(100_000)],
    ['deep braces', '{a: '.repeat(50_000)],
    ['deep dashes', '- '.repeat(50_000)],
    ['deep question marks', '? '.repeat(50_000)],
    ['deep blocks', Array.from({ length: 700 }, (_, index) => `${' '.repeat(index)}a:\n`).join('')],
    ['many keys', Array.from({ length: 30_000 }, (_, index) => `k${index}: 1`).join('\n')],
    ['many steps', `steps:\n${'  - { kind: inspect, model: x }\n'.repeat(7_000)}`],
    [
      'many outputs',
      `steps:\n${Array.from({ length: 4_000 }, (_, index) => `  - { kind: compress, model: model, method: rtn, out: o/${index % 3999} }\n`).join('')}`,
    ],
    ['a deep output', `steps:\n  - { kind: compress, model: x, method: rtn, out: ${'a/'.repeat(50_000)} }\n`],
    ['too long', 'a'.repeat(2_000_000)],
    ['quotes', '"'.repeat(100_000)],
    ['anchors', '&a '.repeat(50_000)],
    ['tags', '!!js/function a: b\nsteps: !!binary x'],
    ['many documents', '---\na: 1\n'.repeat(10_000)],
    ['control characters', '\u0000\u0007\ufeff\n\t- a'],
    ['prototype keys', '__proto__: { a: 1 }\nconstructor: 1\nsteps:\n  - { __proto__: x, kind: inspect, model: toString }\n'],
  ])('%s', async (_, text) => {
    const started = performance.now();
    const found = await findings(text);
    expect(found.length).toBeGreaterThan(0);
    // Not a benchmark: it tells linear work from quadratic, which takes minutes here.
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

describe('running', () => {
  const report = (bytes: number): JobReport => ({ kind: 'inspect', summary: { bytes } }) as unknown as JobReport;

  async function run(
    file: string,
    resume: boolean,
  ): Promise<{ readonly ran: string[]; readonly log: string[]; readonly skipped: boolean[] }> {
    const ran: string[] = [];
    const log: string[] = [];
    const result = await runRecipe(
      { kind: 'recipe', recipe: file, resume },
      {
        kinds: stepKinds,
        stateFolder: join(folder, 'state'),
        log: (message) => void log.push(message),
        runStep: async ({ name, kind, spec }) => {
          ran.push(name);
          for (const out of kind.outputs(spec)) {
            await mkdir(out, { recursive: true });
            await writeFile(join(out, 'report.json'), String(ran.length));
          }
          return report(ran.length);
        },
      },
    );
    return { ran, log, skipped: result.steps.map((step) => step.skipped === true) };
  }

  test('--resume skips finished, unchanged steps and reports them', async () => {
    const file = join(folder, 'resume.loom.yaml');
    await writeFile(file, recipe.replace('out: out', 'out: resumed'));
    const all = ['small', 'evaluate-2', 'compare-3', 'inspect-4'];
    expect((await run(file, true)).ran).toEqual(all);
    const second = await run(file, true);
    expect(second.ran).toEqual([]);
    expect(second.skipped).toEqual([true, true, true, true]);
    expect(second.log[0]).toBe('Step 1 of 4 (small): already done and unchanged, skipped.');
    expect((await run(file, false)).ran).toEqual(all);

    await writeFile(join(folder, 'text.txt'), 'another text');
    expect((await run(file, true)).ran).toEqual(['evaluate-2']);

    await writeFile(file, recipe.replace('out: out', 'out: resumed').replace('bits: 3', 'bits: 4'));
    expect((await run(file, true)).ran[0]).toBe('small');

    await rm(join(folder, 'resumed'), { recursive: true });
    expect((await run(file, true)).ran[0]).toBe('small');
  });

  test('with a damaged journal everything runs', async () => {
    const file = join(folder, 'damaged.loom.yaml');
    await writeFile(file, 'steps:\n  - { kind: inspect, model: model }\n');
    await run(file, true);
    const { readdir } = await import('node:fs/promises');
    for (const name of await readdir(join(folder, 'state', 'recipes')))
      await writeFile(join(folder, 'state', 'recipes', name), '{"version":');
    expect((await run(file, true)).ran).toEqual(['inspect-1']);
  });

  test('the error contains the first finding with its position', async () => {
    const file = join(folder, 'bad.loom.yaml');
    await writeFile(file, 'steps:\n  - { kind: inspect, modle: model }\n');
    await expect(run(file, false)).rejects.toMatchObject({
      code: 'malformed-file',
      message: `${file}:2:5: The step needs model: The model: a path relative to this file, the name of an input, or the name of an earlier step that writes a model. (and 1 more)`,
    });
  });
});

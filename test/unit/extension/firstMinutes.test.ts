import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stepKinds } from '../../../src/engine/jobs/index';
import { checkRecipe } from '../../../src/engine/recipe/checkRecipe';
import { commandShims } from '../../../src/extension/terminal/commandShims';
import { recipeTemplate, sampleRecipe } from '../../../src/extension/reports/recipeTemplate';
import { projectRoot } from '../../support/sourceTree';

const samples = join(projectRoot, 'media/samples');

describe('the command of terminals', () => {
  test('runs the program with every argument as it was given, from a folder of any name', () => {
    if (process.platform === 'win32') return;
    const folder = join(mkdtempSync(join(tmpdir(), 'loomweight-shim-')), 'it\'s a $HOME `x` "quoted" folder');
    try {
      mkdirSync(folder);
      const program = join(folder, 'cli.js');
      writeFileSync(program, 'console.log(JSON.stringify([process.env.ELECTRON_RUN_AS_NODE, ...process.argv.slice(2)]))');
      const [shim, ...others] = commandShims(process.execPath, program, 'linux');
      expect(others).toEqual([]);
      const path = join(folder, shim!.name);
      writeFileSync(path, shim!.text, { mode: 0o755 });
      const given = ['inspect', 'a b', "it's", '$HOME', '*', ''];
      expect(JSON.parse(execFileSync(path, given, { encoding: 'utf8' }))).toEqual(['1', ...given]);
    } finally {
      rmSync(join(folder, '..'), { recursive: true, force: true });
    }
  });

  test('on Windows there is one for cmd and one for shells; a percent sign is no variable', () => {
    const shims = commandShims('C:\\Code 100%\\Code.exe', 'C:\\ext\\cli.js', 'win32');
    expect(shims.map(({ name }) => name)).toEqual(['loomweight', 'loomweight.cmd']);
    expect(shims[1]?.text.split('\r\n').at(-2)).toBe('"C:\\Code 100%%\\Code.exe" "C:\\ext\\cli.js" %*');
  });
});

describe('recipes to begin with', () => {
  const check = (file: string, text: string) => checkRecipe({ file, text }, stepKinds);

  test('a new recipe is sound for a folder, a file, and a name full of signs', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'loomweight-recipe-'));
    try {
      for (const name of ['model', 'a: "b" # c', '${x} %y', '- dash', "it's"]) {
        mkdirSync(join(folder, name));
        const text = recipeTemplate({ model: join(folder, name), name, format: 'onnx-fast', file: join(folder, 'new.loom.yaml') });
        expect(await check(join(folder, 'new.loom.yaml'), text), name).toEqual([]);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('the bundled recipe is sound anywhere: its inputs stay where they are', async () => {
    const text = sampleRecipe(readFileSync(join(samples, 'first.loom.yaml'), 'utf8'), samples);
    expect(await check('/somewhere/else/first.loom.yaml', text)).toEqual([]);
    expect(text).toContain(`  base: ${JSON.stringify(join(samples, 'loom-base'))}`);
  });
});

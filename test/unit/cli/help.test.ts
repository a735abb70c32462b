import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { commandsOf } from '../../../src/cli/commands/index';
import { generatedFiles } from '../../../src/cli/documentation';
import { commandHelp, overviewHelp } from '../../../src/cli/help';
import { stepKinds } from '../../../src/engine/jobs/index';
import { checkText } from '../../support/textGolden';

const commands = commandsOf(stepKinds);
const root = join(__dirname, '..', '..', '..');

describe('help', () => {
  test('of everything', async () => {
    await checkText('test/golden/cli/help.txt', overviewHelp(commands).replace(/^Loomweight \S+:/, 'Loomweight VERSION:'));
  });

  test.each(commands.map((command) => [command.name, command] as const))('of %s', async (name, command) => {
    await checkText(`test/golden/cli/help-${name}.txt`, commandHelp(command));
  });

  test('fits into 100 columns', () => {
    for (const text of [overviewHelp(commands), ...commands.map(commandHelp)])
      for (const line of text.split('\n').filter((each) => !each.startsWith('  loomweight ') && !each.startsWith('  LOOMWEIGHT')))
        expect(line.length).toBeLessThanOrEqual(100);
  });
});

describe('generated files are current (npm run docs)', () => {
  test.each(Object.entries(generatedFiles()))('%s', async (path, text) => {
    expect(await readFile(join(root, path), 'utf8').catch(() => 'missing')).toBe(text);
  });
});

import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { encodeNpy } from '../support/encodeNpy';
import { expectCleanConsole, until } from './support/checks';
import { ownModel } from './support/jobs';
import { root } from './support/paths';
import { useSession } from './support/session';
import { fullWorkspace } from './support/workspaceFiles';

/** A folder whose name would be a link in a notification. */
const hostile = '[Show the log](command:workbench.action.terminal.new)';

describe('choosing a model, data and settings', () => {
  const session = useSession({
    name: 'choosing',
    files: (folder) => {
      fullWorkspace(folder);
      cpSync(join(root, 'media/samples/digits/digits-mlp.onnx'), join(folder, 'digits-mlp.onnx'));
      cpSync(join(root, 'media/samples/digits/data'), join(folder, 'z-digits'), { recursive: true });
      mkdirSync(join(folder, 'a-other'));
      for (const split of ['train', 'test']) {
        writeFileSync(join(folder, 'a-other', `${split}-input.npy`), encodeNpy('float32', [4, 3], new Uint8Array(48)));
        writeFileSync(join(folder, 'a-other', `${split}-label.npy`), encodeNpy('int64', [4], new Uint8Array(32)));
      }
      mkdirSync(join(folder, hostile));
      writeFileSync(join(folder, hostile, 'evil.safetensors'), 'not a model');
    },
  });
  const workbench = () => session().workbench;
  const rows = () => workbench().picks.allInnerTexts();
  const hub = () => workbench().inputShows('Enter to continue');
  const back = () => workbench().page.locator('.quick-input-widget .quick-input-left-action-bar .action-label').first().click();
  const indexOf = (texts: readonly string[], text: string | RegExp) => texts.findIndex((row) => row.search(text) >= 0);

  test('models that cannot be read are last, marked, and not to be chosen; their names are text', async () => {
    await workbench().view('Loomweight');
    await workbench().command('Loomweight: Compress Model');
    await workbench().search('cannot be read');
    const texts = await until('the unreadable models', rows, (all) => all.filter((text) => /cannot be read/.test(text)).length >= 2);
    expect(texts.some((text) => text.includes('[Show the log](command:'))).toBe(true);
    await workbench().picks.filter({ hasText: 'broken.safetensors' }).first().click();
    await workbench().search('');
    await until('the list is still open', rows, (all) => all.some((text) => ownModel.test(text)));
    await workbench().page.keyboard.press('Escape');
  });

  test('3 bits in the fast format say why not, and offer the packed one', async () => {
    await workbench().command('Loomweight: Compress Model');
    await workbench().pick(ownModel);
    await workbench().inputShows('Choose a method');
    await workbench().pick('rtn');
    await hub();
    const first = await rows();
    // Those that matter to most people come first.
    const positions = [/^Bits/, /^Group/, /^Symmetric/, /^Format/, /^Folder/].map((label) => indexOf(first, label));
    expect(
      positions.every((position) => position > 0 && position <= 5),
      first.join(' | '),
    ).toBe(true);
    await workbench().pick(/^Bits/);
    await workbench().answer('3');
    await hub();
    const offer = workbench().picks.filter({ hasText: /Use ONNX, packed/ });
    expect(await offer.first().innerText()).toMatch(/2, 4 or 8 bits, not 3/);
    await offer.first().click();
    await hub();
    await until(
      'the packed format',
      rows,
      (all) => all.some((text) => /^Format.*packed/s.test(text)) && !all.some((text) => /Use ONNX/.test(text)),
    );
  });

  test('Back in a question and on the list; the current value is marked; Escape keeps what was set', async () => {
    await workbench().pick(/^Format/);
    await until('the current format', rows, (all) => all.some((text) => /packed[\s\S]*current/.test(text)));
    await back();
    await hub();
    await workbench().pick(/^Bits/);
    await back();
    await hub();
    await back();
    await workbench().inputShows('Choose a method');
    await workbench().pick('Budget (bits per weight)');
    await hub();
    const budget = await rows();
    for (const label of [/^Budget/, /^Unit/, /^Calibration/]) expect(indexOf(budget, label), budget.join(' | ')).toBeGreaterThan(0);
    await workbench().pick(/^Calibration/);
    await workbench().pick('Random inputs');
    await hub();
    await until('the calibration', rows, (all) => all.some((text) => /^Calibration[\s\S]*random/.test(text)));
    await workbench().search('Overrides');
    await workbench().pick(/^Overrides/);
    await workbench().answer('*.down_proj.weight=bits:8');
    await hub();
    await workbench().page.keyboard.press('Escape');
    await workbench().command('Loomweight: Compress Model');
    await workbench().pick(ownModel);
    await workbench().pick('Budget (bits per weight)');
    await hub();
    await until('what was set', rows, (all) => all.some((text) => /^Calibration[\s\S]*random/.test(text)));
    await workbench().search('Overrides');
    await until('the overrides', rows, (all) => all.some((text) => /down_proj/.test(text)));
    await workbench().search('');
    await workbench().pick(/^Format/);
    await workbench().pick(/Hugging Face folder/);
    await hub();
    await until('that the file gets no smaller', rows, (all) => all.some((text) => /no smaller file/.test(text)));
    await workbench().page.keyboard.press('Escape');
  });

  test('data that fits the model comes first, the rest last with the reason; a forecast reads the headers of the data', async () => {
    await workbench().command('Loomweight: Evaluate Model');
    await workbench().pick(/digits-mlp.onnx(?![\s\S]*sample)/);
    await workbench().inputShows('Choose the text or data');
    const texts = await until('the data', rows, (all) => all.some((text) => /z-digits/.test(text)));
    expect(indexOf(texts, /z-digits/)).toBe(0);
    await workbench().search('a-other');
    await workbench().pick(/a-other/);
    await hub();
    await workbench().pick('Continue');
    await workbench().notified(/input 'input' takes \[.*64.*\].*\[4, 3\]/);
    await workbench().hideNotifications();
    await hub();
    await workbench().page.keyboard.press('Escape');
    expectCleanConsole(workbench());
  });

  test.each([
    ['Light Modern', 'vs'],
    ['Dark High Contrast', 'hc-black'],
  ])('the settings in %s', async (label, name) => {
    await workbench().theme(label, name);
    await workbench().command('Loomweight: Compress Model');
    await workbench().pick(ownModel);
    await workbench().pick('rtn');
    await hub();
    await until('the settings', rows, (all) => all.length > 4);
    await workbench().page.screenshot({ path: join(session().scratch.shots, `settings-${name}.png`) });
    await workbench().page.keyboard.press('Escape');
  });
});

import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { expectDrawn, until } from './support/checks';
import { ownModel, startFromForecast } from './support/jobs';
import { expectInspected, selectTensor } from './support/modelPage';
import { root } from './support/paths';
import { useSession } from './support/session';
import { fullWorkspace, knownTensor } from './support/workspaceFiles';

const folder = join(root, 'docs/images');
/** Pictures are part of the repository and of its README: they stay small. */
const largestPicture = 150_000;

describe('pictures for the documentation', () => {
  const session = useSession({
    name: 'screenshots',
    files: fullWorkspace,
    viewport: { width: 1360, height: 850 },
    settings: { 'workbench.layoutControl.enabled': false, 'window.commandCenter': false, 'breadcrumbs.enabled': false },
  });
  const workbench = () => session().workbench;

  const take = async (name: string) => {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, `${name}.png`);
    await workbench().page.screenshot({ path });
    expect(statSync(path).size, name).toBeLessThan(largestPicture);
  };
  test('model', async () => {
    await workbench().view('Loomweight');
    await workbench().expand(ownModel);
    await workbench().expand('model.layers.0');
    await workbench().treeItem('self_attn.q_proj.weight').first().click();
    await expectInspected(await workbench().webview('model'), knownTensor);
    await take('model');
  });

  test('model-light', async () => {
    await workbench().theme('Light Modern', 'vs');
    const page = await workbench().webview('model');
    await page.locator('body.vscode-light').waitFor();
    await selectTensor(page, 'model.layers.0.mlp.gate_proj.weight');
    await take('model-light');
    await workbench().theme('Dark Modern', 'vs-dark');
    await page.locator('body.vscode-dark').waitFor();
  });

  test('forecast and bit-allocation', async () => {
    await workbench().command('Loomweight: Compress Model');
    await workbench().pick(ownModel);
    await workbench().pick('rtn');
    await workbench().inputShows('Continue');
    await take('settings');
    await workbench().pick('Continue');
    await workbench().inputShows('Provider');
    await take('forecast');
    await workbench().pick('begin the job');
    const done = await workbench().notified(/Verified\./);
    await done.getByText('Show Bit Allocation').click();
    const page = await workbench().webview('bitAllocation');
    await expectDrawn(page.locator('canvas[data-testid="bits-chart"]'));
    await expectDrawn(page.locator('canvas[data-testid="error-chart"]'));
    await workbench().hideNotifications();
    await take('bit-allocation');
    await page.locator('[data-testid="open-report"]').click();
    await (await workbench().webview('report')).locator('[data-testid="verdict"]').waitFor();
    await take('report');
  });

  test('hover', async () => {
    await workbench().openFile('layers.yaml');
    const word = workbench().page.locator('.editor-instance .view-line span').filter({ hasText: 'q_proj' }).last();
    const hover = workbench().page.locator('.monaco-hover').filter({ hasText: knownTensor }).first();
    await until(
      'a hover',
      async () => {
        await word.hover();
        await hover.waitFor({ timeout: 5000 });
        return hover.innerText();
      },
      (text) => /zeros/.test(text),
    );
    await hover.locator('img').first().waitFor();
    await take('hover');
    await workbench().page.keyboard.press('Escape');
  });

  test('recipe and devices', async () => {
    await workbench().openFile('recipe.loom.yaml');
    const lens = workbench().page.locator('.editor-instance .codelens-decoration a').filter({ hasText: 'Run' });
    await lens.waitFor();
    await take('recipe');
    await lens.click();
    await startFromForecast(workbench(), { disk: true });
    const done = await workbench().notified(/Run recipe\.loom\.yaml: .*2 steps/);
    await done.getByText('Open Report').click();
    await workbench().hideNotifications();
    const page = await workbench().webview('report');
    await until(
      'the report',
      () => page.locator('body').innerText(),
      (text) => /perplexity/i.test(text),
    );
    await take('recipe-report');
    await workbench().command('Loomweight: Show Devices');
    await until(
      'devices',
      async () => (await workbench().webview('report')).locator('body').innerText(),
      (text) => /CPU/.test(text),
    );
    await take('devices');
  });
});

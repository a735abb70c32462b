import { cpSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { expectDrawn, until } from './support/checks';
import { ownModel, startFromForecast } from './support/jobs';
import { expectInspected, filterTensors, selectTensor } from './support/modelPage';
import { packagePath, root } from './support/paths';
import { useSession } from './support/session';
import { fullWorkspace, knownTensor } from './support/workspaceFiles';

const folder = join(root, 'docs/images');
/** Pictures are part of the repository and of its README: they stay small. */
const largestPicture = 150_000;

describe('pictures for the documentation', () => {
  const session = useSession({
    name: 'screenshots',
    files: (workspace) => {
      fullWorkspace(workspace);
      rmSync(join(workspace, 'small/broken.safetensors'));
      cpSync(join(root, 'media/samples/digits/digits-mlp.onnx'), join(workspace, 'digits-mlp.onnx'));
      cpSync(join(root, 'media/samples/digits/data'), join(workspace, 'digits'), { recursive: true });
    },
    // As a user sees it: the window's title and its toasts are those of an installed extension.
    packagePath: packagePath(),
    viewport: { width: 1200, height: 740 },
    settings: { 'workbench.layoutControl.enabled': false, 'window.commandCenter': false, 'breadcrumbs.enabled': false },
  });
  const workbench = () => session().workbench;

  const take = async (name: string) => {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, `${name}.png`);
    await workbench().page.screenshot({ path });
    expect(statSync(path).size, name).toBeLessThan(largestPicture);
  };
  /** Looks at some rows and columns of the heatmap: single values can be told apart, and noise would make a large picture. */
  const zoom = async (page: Frame) => {
    for (let step = 0; step < 4; step += 1) await page.locator('[data-testid="zoom-in"]').click();
    await page.locator('[data-testid="heatmap-readout"]').filter({ hasText: 'rows' }).waitFor();
    await expectDrawn(page.locator('canvas[data-testid="heatmap"]'), 8);
    await page.locator('[data-testid="tensor-name"]').scrollIntoViewIfNeeded();
    await workbench().page.mouse.move(640, 10);
  };
  /** Waits until no toast lies over the picture. */
  const quiet = () =>
    until(
      'no toast',
      () => workbench().page.locator('.notifications-toasts .notification-list-item').count(),
      (count) => count === 0,
    );
  test('model', async () => {
    await workbench().view('Loomweight');
    await workbench().expand(ownModel);
    await workbench().expand('model.layers.0');
    await workbench().treeItem('self_attn.q_proj.weight').first().click();
    const page = await workbench().webview('model');
    await expectInspected(page, knownTensor);
    await zoom(page);
    await filterTensors(page, 'layers.0');
    await workbench().collapse('model.layers.0');
    await take('model');
  });

  test('model-light', async () => {
    await workbench().theme('Light Modern', 'vs');
    const page = await workbench().webview('model');
    await page.locator('body.vscode-light').waitFor();
    await selectTensor(page, 'model.layers.0.mlp.gate_proj.weight');
    await zoom(page);
    await take('model-light');
    await workbench().theme('Dark Modern', 'vs-dark');
    await page.locator('body.vscode-dark').waitFor();
  });

  test('bit-allocation and report', async () => {
    await workbench().command('Loomweight: Compress Model');
    await workbench().pick(ownModel);
    await workbench().pick('Budget (bits per weight)');
    await workbench().inputShows('Continue');
    await workbench().pick('Continue');
    await workbench().inputShows('Provider');
    await workbench().pick('start the job');
    const done = workbench()
      .toast(/Verified\./)
      .first();
    await done.waitFor({ timeout: 110_000 });
    await done.getByText('Show Bit Allocation').click();
    const page = await workbench().webview('bitAllocation');
    await expectDrawn(page.locator('canvas[data-testid="pareto-chart"]'));
    await quiet();
    await workbench().page.setViewportSize({ width: 1140, height: 860 });
    // A budget below the result's, and a layer pinned above it.
    const number = page.locator('[data-testid="budget-number"]');
    await number.fill('3');
    await number.press('Enter');
    await page.locator('[data-testid="layer-table"] select').nth(2).selectOption('8');
    await page.locator('[data-testid="pin"]').waitFor();
    await workbench().page.mouse.move(640, 10);
    await take('bit-allocation');
    await workbench().theme('Light Modern', 'vs');
    await page.locator('body.vscode-light').waitFor();
    await take('bit-allocation-light');
    await workbench().theme('Dark High Contrast', 'hc-black');
    await page.locator('body.vscode-high-contrast').waitFor();
    await take('bit-allocation-high-contrast');
    await workbench().page.setViewportSize({ width: 720, height: 1000 });
    await workbench().command('View: Toggle Primary Side Bar Visibility');
    await take('bit-allocation-narrow');
    await workbench().command('View: Toggle Primary Side Bar Visibility');
    await workbench().page.setViewportSize({ width: 1200, height: 740 });
    await workbench().theme('Dark Modern', 'vs-dark');
    await page.locator('body.vscode-dark').waitFor();
    await page.locator('[data-testid="open-report"]').click();
    await (await workbench().webview('report')).locator('[data-testid="verdict"]').waitFor();
    await take('report');
  });

  test('learn-bits', async () => {
    await workbench().command('Loomweight: Learn Bits');
    await workbench().pick('digits-mlp.onnx');
    await workbench().inputShows('Choose the training data');
    await workbench().pick(/digits.*data/);
    await workbench().inputShows('Enter to continue');
    await workbench().pick(/^Bits per weight/);
    await workbench().answer('3');
    await workbench().inputShows('Enter to continue');
    await workbench().pick('Continue');
    await startFromForecast(workbench(), { disk: true });
    const page = await workbench().webview('job');
    await page.locator('[data-testid="status"]').filter({ hasText: 'Done' }).waitFor({ timeout: 110_000 });
    await expectDrawn(page.locator('canvas[data-testid="loss-chart"]'));
    await quiet();
    await take('learn-bits');
    await workbench().theme('Light Modern', 'vs');
    await page.locator('body.vscode-light').waitFor();
    await take('learn-bits-light');
    await workbench().theme('Dark Modern', 'vs-dark');
    await page.locator('body.vscode-dark').waitFor();
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

  test('recipe and its report', async () => {
    await workbench().openFile('recipe.loom.yaml');
    const lens = workbench().page.locator('.editor-instance .codelens-decoration a').filter({ hasText: 'Run' });
    await lens.waitFor();
    await take('recipe');
    await lens.click();
    await startFromForecast(workbench(), { disk: true });
    const done = workbench()
      .toast(/Run recipe\.loom\.yaml: .*2 steps/)
      .first();
    await done.waitFor({ timeout: 110_000 });
    await done.getByText('Open Report').click();
    await quiet();
    const page = await workbench().webview('report');
    await until(
      'the report',
      () => page.locator('body').innerText(),
      (text) => /perplexity/i.test(text),
    );
    await take('recipe-report');
  });
});

import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import type { CompressReport } from '../../src/protocol/report';
import { expectCleanConsole, expectDrawn, expectNoViolations, until } from './support/checks';
import { startFromForecast } from './support/jobs';
import { root } from './support/paths';
import { useSession } from './support/session';

describe('bits under a budget', () => {
  const session = useSession({
    name: 'budget',
    files: (folder) => {
      mkdirSync(folder, { recursive: true });
      cpSync(join(root, 'test/fixtures/onnx/digits-a.onnx'), join(folder, 'digits-a.onnx'));
    },
    // The dialog for a name is the editor's own, so that a test can type into it.
    settings: { 'files.simpleDialog.enable': true },
  });
  const workbench = () => session().workbench;
  const file = (...parts: string[]) => join(session().scratch.workspace, ...parts);
  const report = (folder: string): CompressReport => JSON.parse(readFileSync(file(folder, 'report.json'), 'utf8')) as CompressReport;
  const first = 'digits-a-budget-3.5bit-onnx-packed';

  const number = async (page: Frame, id: string) => Number.parseFloat(await page.locator(`[data-testid="${id}"]`).innerText());
  const done = (page: Frame) => page.locator('[data-testid="status"]').filter({ hasText: 'Done' }).waitFor({ timeout: 110_000 });

  test('Compress Model offers a budget beside the methods', async () => {
    await workbench().view('Loomweight');
    await workbench().command('Loomweight: Compress Model');
    await workbench().pick('digits-a.onnx');
    await workbench().inputShows('Choose a method');
    await workbench().pick('Budget (bits per weight)');
    await workbench().inputShows('Enter to continue');
    await workbench().pick('Continue');
    await startFromForecast(workbench(), { disk: true });
    await (await workbench().notified(/Verified\./)).getByText('Show Bit Allocation').click();
    await workbench().hideNotifications();
    expect(report(first).bitsPerWeight).toBeLessThanOrEqual(3.5);
    const page = await workbench().webview('bitAllocation');
    await done(page);
    await expectDrawn(page.locator('canvas[data-testid="pareto-chart"]'));
    expect(await number(page, 'budget-bits')).toBeCloseTo(report(first).bitsPerWeight, 2);
  });

  test('the slider moves by keyboard, and size, loss and bars move with it', async () => {
    const page = await workbench().webview('bitAllocation');
    const slider = page.locator('[data-testid="budget-slider"]');
    const [loss, size] = [await number(page, 'budget-loss'), await page.locator('[data-testid="budget-size"]').innerText()];
    await slider.focus();
    for (let step = 0; step < 5; step += 1) await slider.press('ArrowLeft');
    expect(await slider.inputValue()).toBe('3.45');
    await slider.press('PageDown');
    await until(
      'a larger loss',
      () => number(page, 'budget-loss'),
      (value) => value > loss,
    );
    expect(await page.locator('[data-testid="budget-size"]').innerText()).not.toBe(size);
    expect(await slider.getAttribute('aria-valuetext')).toMatch(/bits per weight, .*predicted loss/);
    expect(await page.locator('[data-testid="layer-hint"]').innerText()).toContain('not compressed yet');
    const moved = await page.evaluate(() => {
      const input = document.querySelector('[data-testid="budget-slider"]') as HTMLInputElement;
      const started = performance.now();
      input.value = '3';
      input.dispatchEvent(new Event('input'));
      return performance.now() - started;
    });
    console.log(`# a move of the slider took ${moved.toFixed(1)} ms`);
    expect(await number(page, 'budget-bits')).toBeLessThanOrEqual(3);
  });

  test('pins: by keyboard on a layer, by the list in its row, and lifted again', async () => {
    const page = await workbench().webview('bitAllocation');
    const layers = page.locator('[data-testid="layer-table"] .table-viewport');
    await layers.focus();
    await layers.press('ArrowDown');
    await layers.press('8');
    await page.locator('[data-testid="pin"]').filter({ hasText: ': 8' }).waitFor();
    expect(await page.locator('[data-cell="bits"]').first().innerText()).toBe('8');
    const select = page.locator('[data-testid="layer-table"] select').nth(1);
    await select.focus();
    await select.selectOption('2');
    expect(await page.locator('[data-testid="pin"]').count()).toBe(2);
    // The control keeps the focus although the rows were made anew.
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('SELECT');
    await page.locator('[data-testid="pin"]').last().click();
    expect(await page.locator('[data-testid="pin"]').count()).toBe(1);
    await expectNoViolations(page);
  });

  test('budget and pins survive a hidden panel and a reload of the window', async () => {
    await workbench().reload();
    const page = await workbench().webview('bitAllocation');
    await page.locator('[data-testid="pin"]').filter({ hasText: ': 8' }).waitFor();
    expect(await page.locator('[data-testid="budget-slider"]').inputValue()).toBe('3');
  });

  test('Save as Recipe writes budget and pins into a recipe without mistakes, and opens it', async () => {
    await (await workbench().webview('bitAllocation')).locator('[data-testid="budget-save"]').click();
    // The dialog writes its own name into the box when it has read the folder, over whatever was typed.
    const input = workbench().page.locator('.quick-input-widget input.input');
    await until(
      'the proposed name',
      () => input.inputValue(),
      (value) => value.endsWith('.loom.yaml'),
    );
    await workbench().answer(file('small.loom.yaml'));
    await until(
      'a recipe',
      () => existsSync(file('small.loom.yaml')),
      (there) => there,
    );
    await workbench().tab('small.loom.yaml').waitFor();
    const text = readFileSync(file('small.loom.yaml'), 'utf8');
    expect(text).toMatch(/budget: 3\n/);
    expect(text).toMatch(/- glob: ".*"\n +parameters: \{"bits":8\}/);
    const lens = workbench().page.locator('.editor-instance .codelens-decoration a').filter({ hasText: 'Run' });
    await lens.waitFor();
    expect(await workbench().page.locator('.editor-instance .squiggly-error').count()).toBe(0);
  });

  test('Compress with this budget runs a job whose result holds the budget and the pin', async () => {
    await workbench()
      .tab(/Bits: digits-a/)
      .first()
      .click();
    const page = await workbench().webview('bitAllocation');
    await page.locator('[data-testid="budget-compress"]').click();
    await startFromForecast(workbench(), { disk: true });
    await workbench().notified(/3 bits per weight\. Verified\.|2\.\d+ bits per weight\. Verified\./);
    await workbench().hideNotifications();
    const made = report('digits-a-budget-3bit-onnx-packed');
    expect(made.bitsPerWeight).toBeLessThanOrEqual(3);
    expect(made.layers[0]?.bits).toBe(8);
  });

  test('the first result stands beside the second, and the difference in words', async () => {
    const page = await workbench().webview('bitAllocation');
    await done(page);
    await page.locator('[data-testid="compare"]').click();
    await workbench().pick(/budget of 3\.5 bits/);
    await page.locator('[data-testid="compared"]').filter({ hasText: 'Compared with' }).waitFor();
    const differences = await page.locator('[data-cell="difference"]').allInnerTexts();
    expect(differences.length).toBe(report(first).layers.length);
    expect(differences.some((text) => /^[+−]/.test(text))).toBe(true);
    await page.locator('#tab-charts').click();
    await expectDrawn(page.locator('canvas[data-testid="bits-chart"]'), 4);
    await workbench().theme('Dark High Contrast', 'hc-black');
    await page.locator('body.vscode-high-contrast').waitFor();
    await expectDrawn(page.locator('canvas[data-testid="pareto-chart"]'));
    await workbench().theme('Dark Modern', 'vs-dark');
    await expectNoViolations(page);
    expectCleanConsole(workbench());
  });
});

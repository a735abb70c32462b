import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { expectCleanConsole, expectDrawn, expectNoViolations, until } from './support/checks';
import { ownModel, startCompression, startFromForecast } from './support/jobs';
import { pageOfModel, selectTensor } from './support/modelPage';
import { packagePath } from './support/paths';
import { useSession } from './support/session';
import { fullWorkspace } from './support/workspaceFiles';

describe('the package, installed as a user does', () => {
  const session = useSession({ name: 'package', files: fullWorkspace, packagePath: packagePath() });
  const workbench = () => session().workbench;
  const reportWith = (text: string) =>
    until(
      `a report with ${text}`,
      async () => {
        const page = await workbench().webview('report');
        return (await page.locator('body').innerText()).includes(text) ? page : undefined;
      },
      (page) => page !== undefined,
    ).then((page) => page as Frame);

  test('shows the bundled sample and its values', async () => {
    await workbench().view('Loomweight');
    await workbench()
      .treeItem(/loom-base.*sample/)
      .click();
    const page = await pageOfModel(workbench(), 'loom-base');
    await selectTensor(page, 'model.embed_tokens.weight');
    await expectNoViolations(page);
  });

  test('compresses a model with its own runtime and draws the result', async () => {
    await startCompression(workbench());
    // As a user sees it: a toast, over a workbench whose own start raised no other.
    const done = workbench()
      .toast(/Verified\./)
      .first();
    await done.waitFor({ timeout: 110_000 });
    await workbench().page.screenshot({ path: `${session().scratch.shots}/toast.png` });
    expect(await workbench().page.locator('.notifications-toasts .notification-list-item').count()).toBe(1);
    expect(existsSync(join(session().scratch.workspace, 'loom-base-rtn-4bit-onnx-fast/report.json'))).toBe(true);
    await done.getByText('Show Bit Allocation').click();
    const page = await workbench().webview('bitAllocation');
    await page.locator('#tab-charts').click();
    await expectDrawn(page.locator('canvas[data-testid="bits-chart"]'));
    await expectNoViolations(page);
  });

  test('evaluates on the bundled text', async () => {
    await workbench().command('Loomweight: Evaluate Model');
    await workbench().pick(ownModel);
    await workbench().pick('Sample text');
    await workbench().pick('Continue');
    await startFromForecast(workbench(), { disk: false });
    await workbench()
      .toast(/perplexity/)
      .first()
      .getByText('Open Report')
      .click({ timeout: 110_000 });
    const page = await reportWith('Perplexity');
    // The same model, text and windows from the command line; the engine's tests hold it against transformers.
    const value = await page.locator('[data-label="Perplexity"] .value').innerText();
    expect(Number(value)).toBeCloseTo(53.68, 1);
  });

  test('compares a model with the sample that it is a copy of', async () => {
    await workbench().command('Loomweight: Compare Models');
    await workbench().pick(ownModel);
    await workbench().inputShows('Compare loom-base with');
    await workbench().pick(/loom-base.*sample/);
    await workbench()
      .toast(/38 equal/)
      .first()
      .getByText('Open Report')
      .click({ timeout: 110_000 });
    const page = await reportWith('Compared tensor by tensor');
    expect(await page.locator('[data-testid="verdict"]').innerText()).toBe('Equal');
    expect(await page.locator('[data-testid="report-table"] tbody tr').count()).toBe(38);
  });

  test('a folder that is no runtime for this machine is refused with the reason, and the list is back', async () => {
    const folder = join(session().scratch.workspace, 'other-runtime');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'onnxruntime-node', version: '1.20.0' }));
    await workbench().command('Loomweight: Set Up GPU');
    await workbench().pick('Choose an onnxruntime-node folder');
    await workbench().inputShows('Folder of an onnxruntime-node package');
    const input = workbench().page.locator('.quick-input-widget input.input');
    const refusal = workbench().toast(/1\.20\.0/);
    await until(
      'the refusal',
      async () => {
        // The dialog writes its first folder into the box when it has read it, over whatever was typed, and takes an answer only then.
        const asks = await workbench().page.getByText('Folder of an onnxruntime-node package').isVisible();
        if (asks && (await input.inputValue()) !== `${folder}/`) await input.fill(`${folder}/`);
        else if (asks) await input.press('Enter');
        await workbench().page.waitForTimeout(500);
        return refusal.count();
      },
      (count) => count > 0,
    );
    await workbench().inputShows('The bundled runtime is in use');
    await workbench().page.keyboard.press('Escape');
    expectCleanConsole(workbench());
  });
});

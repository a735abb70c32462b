import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkpointEnding } from '../../src/protocol/learnDefaults';
import type { LearnReport } from '../../src/protocol/report';
import { expectCleanConsole, expectDrawn, expectNoViolations, until } from './support/checks';
import { jobItem, runningJobPage, startFromForecast, stepsShown } from './support/jobs';
import { root } from './support/paths';
import { useSession } from './support/session';

describe('learning bits', () => {
  const session = useSession({
    name: 'learn-bits',
    files: (folder) => {
      mkdirSync(folder, { recursive: true });
      cpSync(join(root, 'media/samples/digits/digits-mlp.onnx'), join(folder, 'digits-mlp.onnx'));
      cpSync(join(root, 'media/samples/digits/data'), join(folder, 'digits'), { recursive: true });
    },
  });
  const workbench = () => session().workbench;
  const output = () => join(session().scratch.workspace, 'digits-mlp-learned-3bit');
  const report = (): LearnReport => JSON.parse(readFileSync(join(output(), 'report.json'), 'utf8')) as LearnReport;

  /** From the first pick to the start of the job. */
  const start = async (settings: Readonly<Record<string, string>>) => {
    await workbench().command('Loomweight: Learn Bits');
    await workbench().pick('digits-mlp.onnx');
    await workbench().inputShows('Choose the training data');
    await workbench().pick(/digits.*data/);
    await workbench().inputShows('Enter to continue');
    for (const [label, value] of Object.entries({ 'Bits per weight': '3', ...settings })) {
      // The list draws only the rows in sight.
      await workbench().search(label);
      await workbench().pick(new RegExp(`^${label}`));
      await workbench().answer(value);
      await workbench().inputShows('Enter to continue');
    }
    await workbench().pick('Continue');
    await startFromForecast(workbench(), { disk: true });
  };

  test('Learn Bits: model, data, target, forecast; the Job panel opens with live curves', async () => {
    await workbench().view('Loomweight');
    await start({ Steps: '400' });
    const page = await workbench().webview('job');
    await page.locator('[data-testid="title"]').filter({ hasText: 'Learn bits of digits-mlp' }).waitFor();
    await expectDrawn(page.locator('canvas[data-testid="loss-chart"]'));
    await page.locator('[data-testid="status"]').filter({ hasText: 'Done' }).waitFor({ timeout: 110_000 });
    await expectDrawn(page.locator('canvas[data-testid="loss-chart"]'));
    await expectDrawn(page.locator('canvas[data-testid="training-bits-chart"]'));
    await expectNoViolations(page);
  });

  test('the result holds the target, is verified, and its numbers are those of the panel', async () => {
    const { bitsPerWeight, verification, training } = report();
    expect(bitsPerWeight).toBeLessThanOrEqual(3.01);
    expect(verification.passed).toBe(true);
    expect(training.evaluations.length).toBeGreaterThan(0);
    const page = await workbench().webview('job');
    expect(await page.locator('[data-testid="step"]').innerText()).toBe('400');
    await page.locator('[data-testid="loss-chart-table"] summary').click();
    const rows = page.locator('[data-testid="loss-chart-table"] tbody tr');
    await until(
      'a row for each point of the curve',
      () => rows.count(),
      (count) => count === training.curve.length + training.evaluations.length,
    );
  });

  test('bits of the groups stand in the Bit allocation panel, the way back to the curves beside them', async () => {
    await (await workbench().webview('job')).locator('[data-testid="action-bitAllocation"]').click();
    const page = await workbench().webview('bitAllocation');
    await page.locator('.width-bar').first().waitFor();
    expect(await page.locator('.width-bar').count()).toBe(report().layers.length);
    expect(await page.locator('.width-bar').first().getAttribute('aria-label')).toMatch(/^bits: \d+: [\d.]+ %/);
    expect(await page.locator('[data-testid="budget"]').isVisible()).toBe(false);
    expect(await page.locator('[data-testid="allocation-hint"]').innerText()).toContain('Budget (bits per weight)');
    await page.locator('#tab-charts').click();
    await expectDrawn(page.locator('canvas[data-testid="bits-chart"]'));
    await expectNoViolations(page);
    await page.locator('[data-testid="show-curves"]').click();
    await expectDrawn((await workbench().webview('job')).locator('canvas[data-testid="loss-chart"]'));
  });

  test('the report compares the quality before and after', async () => {
    await (await workbench().webview('job')).locator('[data-testid="action-openReport"]').click();
    const page = await workbench().webview('report');
    await page.locator('[data-testid="verdict"]').filter({ hasText: 'Verified' }).waitFor();
    const text = await page.locator('[data-heading="Quality on held-out data"]').innerText();
    expect(text).toMatch(/Before, float[\s\S]*Learned widths/);
    await expectNoViolations(page);
  });

  test('a reload of the window restores the curves of the finished job', async () => {
    await workbench()
      .tab(/Learn bits/)
      .first()
      .click();
    await workbench().webview('job');
    await workbench().reload();
    const page = await workbench().webview('job');
    await expectDrawn(page.locator('canvas[data-testid="loss-chart"]'));
    await page.locator('[data-testid="status"]').filter({ hasText: 'Done' }).waitFor();
  });

  test('Cancel in the panel ends a long training, which can go on from its checkpoint', async () => {
    const folder = session().scratch.workspace;
    const before = readdirSync(folder).sort();
    await workbench().view('Loomweight');
    // Hours of training: it cannot end before the click. A checkpoint comes with every evaluation.
    await start({ Steps: '20000000', 'Evaluate every': '200' });
    const page = await runningJobPage(workbench());
    await until(
      'a checkpoint',
      () => readdirSync(folder).find((name) => name.endsWith(checkpointEnding) && existsSync(join(folder, name, 'checkpoint.json'))),
      (name) => name !== undefined,
    );
    const steps = await until(
      'some steps',
      () => stepsShown(page),
      (count) => count > 0,
    );
    await page.locator('[data-testid="action-cancel"]').click();
    await page.locator('[data-testid="status"]').filter({ hasText: 'Cancelled' }).waitFor();
    await jobItem(workbench(), /Learn bits.*cancelled/).waitFor();
    // No output; what a later run may go on from lies beside it under a name of its own.
    const left = readdirSync(folder).filter((name) => !before.includes(name) && !name.endsWith(checkpointEnding));
    expect(left).toEqual([]);
    await page.locator('[data-testid="action-resume"]').click();
    await startFromForecast(workbench(), { disk: true });
    await jobItem(workbench(), /Learn bits.*Training/).waitFor();
    const resumed = await runningJobPage(workbench());
    await until(
      'more steps than before',
      () => stepsShown(resumed),
      (count) => count > steps,
    );
    await resumed.locator('[data-testid="action-cancel"]').click();
    await resumed.locator('[data-testid="status"]').filter({ hasText: 'Cancelled' }).waitFor();
    expectCleanConsole(workbench());
  });
});

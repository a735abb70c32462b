import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { checkpointEnding } from '../../src/protocol/learnDefaults';
import type { LearnReport } from '../../src/protocol/report';
import { expectCleanConsole, expectDrawn, expectNoViolations, until } from './support/checks';
import {
  digitsWorkspace,
  jobItem,
  longTraining,
  runningJobPage,
  setUpLearning,
  startFromForecast,
  startLearning,
  stepsShown,
} from './support/jobs';
import { useSession } from './support/session';

describe('learning bits', () => {
  const session = useSession({
    name: 'learn-bits',
    files: digitsWorkspace,
  });
  const workbench = () => session().workbench;
  const output = () => join(session().scratch.workspace, 'digits-mlp-learned-3bit');
  const report = (): LearnReport => JSON.parse(readFileSync(join(output(), 'report.json'), 'utf8')) as LearnReport;

  test('Learn Bits: model, data, target, forecast; the Job panel opens with live curves', async () => {
    await workbench().view('Loomweight');
    await startLearning(workbench(), { 'Bits per weight': '3', Steps: '400' });
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
    await startLearning(workbench(), longTraining);
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
  });

  test('another training over the checkpoint asks first: Change settings, Resume or Start Over', async () => {
    const folder = session().scratch.workspace;
    const checkpointed = () => {
      const name = readdirSync(folder).find((each) => each.endsWith(checkpointEnding)) ?? 'none';
      const file = join(folder, name, 'checkpoint.json');
      return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { readonly step: number }).step : undefined;
    };
    const before = checkpointed();
    const asked = `An interrupted run left a checkpoint at step ${before?.toLocaleString('en')}`;
    await setUpLearning(workbench(), longTraining);
    await workbench().inputShows(asked);
    await workbench().pick('Change settings');
    await workbench().inputShows('Enter to continue');
    await workbench().pick('Continue');
    await workbench().inputShows(asked);
    await workbench().pick('Resume');
    await workbench().inputShows('Start the job?');
    await workbench().page.keyboard.press('Escape');
    expect(checkpointed()).toBe(before);
    await setUpLearning(workbench(), longTraining);
    await workbench().inputShows(asked);
    await workbench().pick('Start Over');
    // Nothing is deleted before the job starts.
    await workbench().inputShows('Start the job?');
    expect(checkpointed()).toBe(before);
    await startFromForecast(workbench(), { disk: true });
    await until('a checkpoint of the new training', checkpointed, (step) => step !== undefined && step < (before ?? 0));
    const page = await runningJobPage(workbench());
    await page.locator('[data-testid="action-cancel"]').click();
    await page.locator('[data-testid="status"]').filter({ hasText: 'Cancelled' }).waitFor();
    expectCleanConsole(workbench());
  });
});

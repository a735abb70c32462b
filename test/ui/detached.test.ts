import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Frame } from 'playwright-core';
import { afterAll, describe, expect, test } from 'vitest';
import { checkpointEnding } from '../../src/protocol/learnDefaults';
import { expectCleanConsole, expectDrawn, until } from './support/checks';
import { digitsWorkspace, jobItem, longTraining, runningJobPage, startFromForecast, startLearning, stepsShown } from './support/jobs';
import { remoteUri, startServer } from './support/server';
import type { Server } from './support/server';
import { root } from './support/paths';
import { engineProcesses, supervisorProcesses } from './support/processes';
import { useSession } from './support/session';
import { Workbench } from './support/workbench';

describe('jobs outlive the window', () => {
  const session = useSession({
    name: 'detached',
    files: digitsWorkspace,
  });
  const workbench = () => session().workbench;
  const folder = () => session().scratch.folder;
  const supervisors = () => supervisorProcesses(folder());
  let second: Server | undefined;
  afterAll(async () => second?.stop());

  /** Starts a training that would take hours, with a checkpoint every 200 steps. */
  const train = (window: Workbench) => startLearning(window, longTraining);
  const trainsOn = async (page: Frame) => {
    const before = await stepsShown(page);
    await until(
      'more steps',
      () => stepsShown(page),
      (steps) => steps > before,
    );
    return before;
  };
  const statusBar = (window: Workbench) => window.page.locator('.part.statusbar [id*="loomweight.jobs"]');
  const status = (page: Frame, text: string) => page.locator('[data-testid="status"]').filter({ hasText: text }).waitFor();

  test('a reload of the window: progress, curves, tree and status bar go on with the same process', async () => {
    await workbench().view('Loomweight');
    await train(workbench());
    await trainsOn(await runningJobPage(workbench()));
    const [job, ...others] = supervisors();
    expect(others).toEqual([]);
    await statusBar(workbench()).filter({ hasText: 'Learn bits of digits-mlp' }).waitFor();
    await workbench().reload();
    const page = await runningJobPage(workbench());
    await trainsOn(page);
    await expectDrawn(page.locator('canvas[data-testid="loss-chart"]'));
    await jobItem(workbench(), /Learn bits.*Training/).waitFor();
    await statusBar(workbench()).filter({ hasText: 'Learn bits of digits-mlp' }).waitFor();
    expect(supervisors()).toEqual([job]);
  });

  test('a click on the row of a running job opens it, however often the row is drawn again', async () => {
    for (let round = 0; round < 4; round += 1) {
      await workbench()
        .tab(/Learn bits/)
        .first()
        .click({ button: 'middle' });
      await jobItem(workbench(), /Learn bits.*Training/).click();
      await runningJobPage(workbench());
    }
    expect(
      await workbench()
        .page.locator('.notifications-center, .notifications-toasts')
        .filter({ hasText: /not found/ })
        .count(),
    ).toBe(0);
  });

  test('a click in the status bar opens the running job, however often its text changes', async () => {
    for (let round = 0; round < 6; round += 1) {
      await workbench()
        .tab(/Learn bits/)
        .first()
        .click({ button: 'middle' });
      await statusBar(workbench()).click();
      await runningJobPage(workbench());
    }
  });

  test('the server ends, as after a lost connection: the job goes on, and a window of the next one cancels it', async () => {
    const [job] = supervisors();
    await session().server.stop();
    expect(supervisors()).toEqual([job]);
    expect(engineProcesses(0, folder())).toHaveLength(1);
    const browser = workbench().page.context().browser() as Browser;
    // It would try to connect again all the time.
    await workbench().page.close();
    second = await startServer(session().scratch, { development: true });
    const url = second.url([['extensionDevelopmentPath', remoteUri(root)]]);
    const window = await Workbench.open(browser, url);
    // Without any view of Loomweight in sight.
    await statusBar(window).filter({ hasText: 'Learn bits of digits-mlp' }).waitFor();
    await statusBar(window).click();
    const page = await runningJobPage(window);
    await trainsOn(page);
    const other = await Workbench.open(browser, url);
    await other.view('Loomweight');
    await jobItem(other, /Learn bits.*Training/).waitFor();
    await page.locator('[data-testid="action-cancel"]').click();
    await status(page, 'Cancelled');
    await jobItem(other, /Learn bits.*cancelled/).waitFor();
    await until('the processes to end', supervisors, (pids) => pids.length === 0);
    expect(engineProcesses(0, folder())).toEqual([]);
    await other.page.close();
    await window.page.close();
  });

  test('killed with its process: Interrupted, with its curves, and it resumes', async () => {
    const browser = workbench().page.context().browser() as Browser;
    const window = await Workbench.open(browser, (second as Server).url([['extensionDevelopmentPath', remoteUri(root)]]));
    await window.view('Loomweight');
    await jobItem(window, /Learn bits.*cancelled/).click();
    const cancelled = await window.webview('job');
    await expectDrawn(cancelled.locator('canvas[data-testid="loss-chart"]'));
    const steps = await stepsShown(cancelled);
    await cancelled.locator('[data-testid="action-resume"]').click();
    await startFromForecast(window, { disk: true });
    const page = await runningJobPage(window);
    await until(
      'steps after those of the checkpoint',
      () => stepsShown(page),
      (count) => count > steps,
    );
    for (const pid of [...supervisors(), ...engineProcesses(0, folder())]) process.kill(pid, 'SIGKILL');
    await status(page, 'Interrupted');
    await expectDrawn(page.locator('canvas[data-testid="loss-chart"]'));
    await jobItem(window, /Learn bits.*interrupted/).waitFor();
    const { workspace } = session().scratch;
    expect(
      readdirSync(workspace).some((name) => name.endsWith(checkpointEnding) && existsSync(join(workspace, name, 'checkpoint.json'))),
    ).toBe(true);
    // Also in the window after that.
    await window.reload();
    const again = await window.webview('job');
    await status(again, 'Interrupted');
    await expectDrawn(again.locator('canvas[data-testid="loss-chart"]'));
    await again.locator('[data-testid="action-resume"]').click();
    await startFromForecast(window, { disk: true });
    await trainsOn(await runningJobPage(window));
    expectCleanConsole(window);
  });
});

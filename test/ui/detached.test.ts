import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { expectDrawn, until } from './support/checks';
import { jobItem, runningJobPage, startFromForecast, stepsShown } from './support/jobs';
import { root } from './support/paths';
import { supervisorProcesses } from './support/processes';
import { useSession } from './support/session';
import type { Workbench } from './support/workbench';

describe('jobs outlive the window', () => {
  const session = useSession({
    name: 'detached',
    files: (folder) => {
      mkdirSync(folder, { recursive: true });
      cpSync(join(root, 'media/samples/digits/digits-mlp.onnx'), join(folder, 'digits-mlp.onnx'));
      cpSync(join(root, 'media/samples/digits/data'), join(folder, 'digits'), { recursive: true });
    },
  });
  const workbench = () => session().workbench;
  const folder = () => session().scratch.folder;
  const supervisors = () => supervisorProcesses(folder());

  /** Starts a training that would take hours, with a checkpoint every 200 steps. */
  const train = async (window: Workbench) => {
    await window.command('Loomweight: Learn Bits');
    await window.pick('digits-mlp.onnx');
    await window.inputShows('Choose the training data');
    await window.pick(/digits.*data/);
    await window.inputShows('Enter to continue');
    for (const [label, value] of Object.entries({ Steps: '20000000', 'Evaluate every': '200' })) {
      await window.search(label);
      await window.pick(new RegExp(`^${label}`));
      await window.answer(value);
      await window.inputShows('Enter to continue');
    }
    await window.pick('Continue');
    await startFromForecast(window, { disk: true });
  };
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
});

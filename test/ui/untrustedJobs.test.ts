import { readdirSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { checkpointEnding } from '../../src/protocol/learnDefaults';
import { expectDrawn, until } from './support/checks';
import { digitsWorkspace, jobItem, longTraining, runningJobPage, startLearning, stepsShown } from './support/jobs';
import { root } from './support/paths';
import { supervisorProcesses } from './support/processes';
import { remoteUri } from './support/server';
import { useSession } from './support/session';
import { Workbench } from './support/workbench';

describe('a job of a trusted window, in a window that does not trust the workspace', () => {
  const session = useSession({
    name: 'untrusted-jobs',
    files: digitsWorkspace,
    settings: {
      'security.workspace.trust.enabled': true,
      'security.workspace.trust.startupPrompt': 'never',
      'workbench.editor.useModal': 'off',
    },
  });
  const trusted = () => session().workbench;
  const supervisors = () => supervisorProcesses(session().scratch.folder);
  let restricted: Workbench;

  beforeAll(async () => {
    await trusted().command('Workspaces: Manage Workspace Trust');
    await trusted()
      .page.locator('.workspace-trust-editor .monaco-button')
      .filter({ hasText: /^Trust/ })
      .first()
      .click();
    await trusted().view('Loomweight');
    await startLearning(trusted(), longTraining);
    await stepsShown(await runningJobPage(trusted()));
    // A browser without the other's storage, where the trust is recorded.
    const browser = trusted().page.context().browser() as Browser;
    restricted = await Workbench.open(browser, session().server.url([['extensionDevelopmentPath', remoteUri(root)]]));
  });

  test('its page shows it and cancels it', async () => {
    const [job] = supervisors();
    await restricted.page.locator('.part.statusbar').filter({ hasText: 'Restricted Mode' }).waitFor();
    await restricted.view('Loomweight');
    await jobItem(restricted, /Learn bits.*Training/).click();
    const page = await runningJobPage(restricted);
    const steps = await stepsShown(page);
    await until(
      'more steps',
      () => stepsShown(page),
      (count) => count > steps,
    );
    expect(supervisors()).toEqual([job]);
    await expectDrawn(page.locator('canvas[data-testid="loss-chart"]'));
    await page.locator('[data-testid="action-cancel"]').click();
    await page.locator('[data-testid="status"]').filter({ hasText: 'Cancelled' }).waitFor();
    await jobItem(restricted, /Learn bits.*cancelled/).waitFor();
    await until('the process to end', supervisors, (pids) => pids.length === 0);
  });

  test('it does not resume there, and its checkpoint is kept', async () => {
    await (await restricted.webview('job')).locator('[data-testid="action-resume"]').click();
    await restricted.notified(/needs a trusted workspace/);
    expect(supervisors()).toEqual([]);
    expect(readdirSync(session().scratch.workspace).some((name) => name.endsWith(checkpointEnding))).toBe(true);
  });
});

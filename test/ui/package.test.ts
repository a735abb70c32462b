import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { expectCleanConsole, expectDrawn, expectNoViolations } from './support/checks';
import { startCompression } from './support/jobs';
import { selectTensor } from './support/modelPage';
import { packagePath } from './support/paths';
import { useSession } from './support/session';
import { fullWorkspace } from './support/workspaceFiles';

describe('the package, installed as a user does', () => {
  const session = useSession({ name: 'package', files: fullWorkspace, packagePath: packagePath() });
  const workbench = () => session().workbench;

  test('shows the bundled sample and its values', async () => {
    await workbench().view('Loomweight');
    await workbench()
      .treeItem(/loom-base.*sample/)
      .click();
    const page = await workbench().webview('model');
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
    await expectDrawn(page.locator('canvas[data-testid="bits-chart"]'));
    await expectNoViolations(page);
    expectCleanConsole(workbench());
  });
});

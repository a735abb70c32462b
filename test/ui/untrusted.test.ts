import { describe, expect, test } from 'vitest';
import { until } from './support/checks';
import { pageOfModel } from './support/modelPage';
import { useSession } from './support/session';
import { fullWorkspace } from './support/workspaceFiles';

describe('an untrusted workspace', () => {
  const session = useSession({
    name: 'untrusted',
    files: fullWorkspace,
    settings: {
      'security.workspace.trust.enabled': true,
      'security.workspace.trust.startupPrompt': 'never',
      'security.workspace.trust.untrustedFiles': 'open',
    },
  });
  const workbench = () => session().workbench;

  test('shows names, shapes and types, and says why there are no values', async () => {
    await workbench().view('Loomweight');
    await workbench().treeItem('plain.safetensors').first().click();
    const page = await pageOfModel(workbench(), 'plain.safetensors');
    const row = page.locator('.table-row[data-tensor="fc1.weight"]');
    await row.click();
    expect(await row.innerText()).toMatch(/24 × 40/);
    await page.locator('[data-testid="values-refused"]').filter({ hasText: 'trusted' }).waitFor();
    expect(await page.locator('canvas[data-testid="heatmap"]').count()).toBe(0);
  });

  test('does not offer what runs models or writes files', async () => {
    await workbench().page.keyboard.press('F1');
    const input = workbench().page.locator('.quick-input-widget input.input');
    await input.fill('>Loomweight: ');
    const titles = await until(
      'commands',
      () => workbench().picks.allInnerTexts(),
      (all) => all.some((text) => /Show Devices/.test(text)),
    );
    expect(titles.filter((title) => /Compress Model|Evaluate Model|Run Recipe|New Recipe|Set Up GPU/.test(title))).toEqual([]);
    await workbench().page.keyboard.press('Escape');
  });
});

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { expectCleanConsole, expectNoViolations, until } from './support/checks';
import { startFromForecast } from './support/jobs';
import { useSession } from './support/session';
import { expectInspected, pageOfModel } from './support/modelPage';
import { fullWorkspace, knownTensor } from './support/workspaceFiles';

describe('recipes and hovers', () => {
  const session = useSession({ name: 'recipes', files: fullWorkspace });
  const workbench = () => session().workbench;
  const editor = () => workbench().page.locator('.editor-instance .monaco-editor').first();

  for (const file of ['layers.yaml', 'layers.json', 'layers.py']) {
    test(`a hover over a tensor's name in ${file} shows its statistics`, async () => {
      await workbench().openFile(file);
      const hover = workbench().page.locator('.monaco-hover').filter({ hasText: knownTensor }).first();
      await until(
        'a hover with statistics',
        async () => {
          await editor().locator('.view-line span').filter({ hasText: 'q_proj' }).last().hover();
          await hover.waitFor({ timeout: 5000 });
          return hover.innerText();
        },
        (text) => /256\s×\s256/.test(text) && /min/.test(text) && /0\.1406/.test(text) && /zeros/.test(text),
        60_000,
      );
      await hover.locator('img').first().waitFor();
    });
  }

  test('the link in the hover opens the tensor', async () => {
    await workbench().page.locator('.monaco-hover').getByText('Inspect', { exact: true }).first().click();
    await expectInspected(await pageOfModel(workbench(), 'loom-base'), knownTensor);
  });

  test('a recipe has lenses to run and to forecast it', async () => {
    await workbench().openFile('recipe.loom.yaml');
    await editor().locator('.codelens-decoration a').filter({ hasText: 'Run' }).waitFor();
    await editor().locator('.codelens-decoration a').filter({ hasText: 'Forecast' }).click();
    const page = await workbench().webview('report');
    await until(
      'a forecast',
      () => page.locator('body').innerText(),
      (text) => /memory/i.test(text) && /disk/i.test(text),
    );
    await expectNoViolations(page);
  });

  test('Run on a recipe compresses and evaluates', async () => {
    await workbench().openFile('recipe.loom.yaml');
    await editor().locator('.codelens-decoration a').filter({ hasText: 'Run' }).click();
    await startFromForecast(workbench(), { disk: true });
    const done = await workbench().notified(/Run recipe\.loom\.yaml: .*2 steps/);
    expect(existsSync(join(session().scratch.workspace, 'recipe-output/report.json'))).toBe(true);
    await done.getByText('Open Report').click();
    await workbench().hideNotifications();
    const page = await workbench().webview('report');
    await until(
      'both steps',
      () => page.locator('body').innerText(),
      (text) => /compress/i.test(text) && /perplexity/i.test(text),
    );
  });

  test('a mistake in a recipe is underlined with its reason', async () => {
    await workbench().openFile('recipe.loom.yaml');
    await editor()
      .locator('.view-line')
      .filter({ hasText: /method:/ })
      .first()
      .click();
    await workbench().page.keyboard.press('End');
    await workbench().page.keyboard.type('x');
    await editor().locator('.squiggly-error').first().waitFor();
    await workbench().page.keyboard.press('Backspace');
    await until(
      'no mistake',
      () => editor().locator('.squiggly-error').count(),
      (count) => count === 0,
    );
  });

  test('completion offers the keys of a recipe', async () => {
    await workbench().page.keyboard.press('Control+End');
    await workbench().page.keyboard.type('  - kind: ');
    await workbench().page.keyboard.press('Control+Space');
    const suggestions = workbench().page.locator('.suggest-widget .monaco-list-row');
    await until(
      'suggestions',
      () => suggestions.allInnerTexts(),
      (texts) => texts.some((text) => /compare/.test(text)),
    );
    await workbench().page.keyboard.press('Escape');
    expectCleanConsole(workbench());
  });
});

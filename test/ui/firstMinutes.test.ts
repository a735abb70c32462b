import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { expectCleanConsole, until } from './support/checks';
import { fact, pageOfModel } from './support/modelPage';
import { root } from './support/paths';
import { useSession } from './support/session';

describe('the first minutes', () => {
  const session = useSession({
    name: 'first-minutes',
    viewport: { width: 1600, height: 900 },
    files: (folder) => {
      mkdirSync(folder, { recursive: true });
      copyFileSync(join(root, 'media/samples/digits/digits-mlp.onnx'), join(folder, 'net.onnx'));
      copyFileSync(join(root, 'media/samples/digits/data/val-label.npy'), join(folder, 'labels.npy'));
    },
  });
  const workbench = () => session().workbench;
  const rows = () => workbench().picks.allInnerTexts();

  test('the walkthrough has pictures, and a step is ticked when it has succeeded', async () => {
    await workbench().command('Welcome: Open Walkthrough...');
    await workbench().pick('Get Started with Loomweight');
    const steps = workbench().page.locator('.getting-started-step');
    await steps.filter({ hasText: 'Inspect a model' }).first().waitFor();
    const picture = workbench().page.locator('.getting-started-media img');
    await until(
      'the picture',
      () => picture.first().evaluate((element: HTMLImageElement) => element.naturalWidth),
      (width) => width > 600,
    );
    const ticked = workbench().page.locator('.getting-started-step .complete');
    expect(await ticked.count()).toBe(0);
    await workbench().openFile('net.onnx');
    await (await pageOfModel(workbench(), 'net.onnx')).locator('.table-row').first().waitFor();
    await workbench()
      .tab(/Welcome|Get Started/)
      .first()
      .click();
    await ticked.first().waitFor();
    expect(await ticked.count()).toBe(1);
  });

  test('.onnx and .npy files open with Loomweight', async () => {
    await workbench().openFile('net.onnx');
    await (await pageOfModel(workbench(), 'net.onnx')).locator('.table-row').first().waitFor();
    await workbench().openFile('labels.npy');
    const page = await pageOfModel(workbench(), 'labels.npy');
    await page.locator('.table-row[data-tensor]').first().click();
    expect(await fact(page, 'shape')).toContain('177');
  });

  test('Run Recipe without a recipe offers a new one, a sample and a file; the sample gets as far as its forecast', async () => {
    await workbench().command('Loomweight: Run Recipe');
    await until('the offers', rows, (texts) =>
      ['New Recipe', 'Sample recipe', 'Choose a file'].every((text) => texts.some((row) => row.includes(text))),
    );
    await workbench().pick('Sample recipe');
    await until('the forecast', rows, (texts) => texts.some((text) => text.includes('Start')));
    const copy = join(session().scratch.workspace, 'first.loom.yaml');
    // The copy is elsewhere: its inputs must lead back to the bundled ones.
    expect(readFileSync(copy, 'utf8')).toMatch(/^ {2}base: ".*\/samples\/loom-base"$/m);
    await workbench().page.keyboard.press('Escape');
    await workbench().tab('first.loom.yaml').first().waitFor();
  });

  test('Add Command Line to Terminals writes a program that runs', async () => {
    await workbench().command('Loomweight: Add Command Line to Terminals');
    await workbench().notified(/New terminals have the command loomweight/);
    await workbench().hideNotifications();
    const shim = join(session().scratch.folder, 'server/data/User/globalStorage/loomweight.loomweight/bin/loomweight');
    expect(existsSync(shim)).toBe(true);
    expect(execFileSync(shim, ['--version'], { encoding: 'utf8' })).toMatch(/\d+\.\d+\.\d+/);
    await workbench().command('Loomweight: Add Command Line to Terminals');
    await workbench().notified(/no longer have the command/);
    expectCleanConsole(workbench());
  });
});

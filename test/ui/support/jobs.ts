import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Frame, Locator } from 'playwright-core';
import { expect } from 'vitest';
import { until } from './checks';
import { root } from './paths';
import type { Workbench } from './workbench';

/** The workspace's own model in a list of models; the bundled sample has the same name. */
export const ownModel = /loom-base(?!.*sample)/;

/** From the first pick of *Compress Model* to the start of the job, with the settings as they are. */
export async function startCompression(workbench: Workbench, model: string | RegExp = ownModel): Promise<void> {
  await workbench.command('Loomweight: Compress Model');
  await workbench.pick(model);
  await workbench.inputShows('Choose a method');
  await workbench.pick('rtn');
  await workbench.pick('Continue');
  await startFromForecast(workbench, { disk: true });
}

/** A workspace with the bundled classifier of digits and its data. */
export function digitsWorkspace(folder: string): void {
  mkdirSync(folder, { recursive: true });
  cpSync(join(root, 'media/samples/digits/digits-mlp.onnx'), join(folder, 'digits-mlp.onnx'));
  cpSync(join(root, 'media/samples/digits/data'), join(folder, 'digits'), { recursive: true });
}

/** Hours of training, with a checkpoint at every evaluation. */
export const longTraining = { Steps: '20000000', 'Evaluate every': '200' };

/** *Learn Bits* in a workspace of digits, from the first pick to *Continue*, with settings by their labels. */
export async function setUpLearning(workbench: Workbench, settings: Readonly<Record<string, string>>): Promise<void> {
  await workbench.command('Loomweight: Learn Bits');
  await workbench.pick('digits-mlp.onnx');
  await workbench.inputShows('Choose the training data');
  await workbench.pick(/digits.*data/);
  await workbench.inputShows('Enter to continue');
  for (const [label, value] of Object.entries(settings)) {
    // The list draws only the rows in sight.
    await workbench.search(label);
    await workbench.pick(new RegExp(`^${label}`));
    await workbench.answer(value);
    await workbench.inputShows('Enter to continue');
  }
  await workbench.pick('Continue');
}

/** The same, and the job is started from its forecast. */
export async function startLearning(workbench: Workbench, settings: Readonly<Record<string, string>>): Promise<void> {
  await setUpLearning(workbench, settings);
  await startFromForecast(workbench, { disk: true });
}

/** The forecast names memory, time, provider, and disk where files are written, before anything starts; then starts the job. */
export async function startFromForecast(workbench: Workbench, { disk }: { readonly disk: boolean }): Promise<void> {
  const rows = () => workbench.picks.allInnerTexts();
  const texts = await until(
    'a forecast',
    rows,
    (all) => all.some((text) => /Start/.test(text)) && all.some((text) => /Provider/.test(text)),
  );
  expect(texts.join('\n')).toMatch(/memory/i);
  expect(texts.join('\n')).toMatch(/time/i);
  expect(/Disk.*free/.test(texts.join('\n').replace(/\s+/g, ' '))).toBe(disk);
  await workbench.pick('start the job');
}

/**
 * The Job panel of the job that runs. Until the panel of a new job is open, that of an earlier one is still in sight, with numbers and buttons of its own: it is
 * told apart by its status.
 */
export async function runningJobPage(workbench: Workbench): Promise<Frame> {
  const find = async () => {
    for (const page of await workbench.webviews('job'))
      if ((await page.locator('[data-testid="status"]').innerText({ timeout: 1000 })) === 'Running') return page;
    return undefined;
  };
  return (await until('the Job panel of a running job', find, (page) => page !== undefined)) as Frame;
}

/** Steps trained so far, as a Job panel shows them. */
export async function stepsShown(page: Frame): Promise<number> {
  return Number((await page.locator('[data-testid="step"]').innerText()).replaceAll(',', ''));
}

/**
 * Clicks and measures, in milliseconds from the click as the page gets it: until `shown` is in the page, and until `done` holds. The time before the page gets the
 * click (finding the button, moving the mouse) is the test's own.
 */
export async function timeFromClick(
  button: Locator,
  { shown, done }: { readonly shown: Locator; readonly done: () => boolean },
): Promise<{ readonly shown: number; readonly done: number }> {
  await button.evaluate((element) => {
    const note = () => (document.documentElement.dataset['clickedAt'] = String(Date.now()));
    element.ownerDocument.addEventListener('pointerdown', note, { capture: true, once: true });
  });
  await button.click();
  // The page's clock is this machine's.
  const start = Number(await button.page().locator('html').getAttribute('data-clicked-at'));
  const [seen, ended] = await Promise.all([
    shown.waitFor().then(() => Date.now()),
    until('what the click asks for', done, (holds) => holds).then(() => Date.now()),
  ]);
  return { shown: seen - start, done: ended - start };
}

/** The state of the newest job in the Jobs tree. */
export function jobItem(workbench: Workbench, title: string | RegExp) {
  return workbench.treeItem(title).first();
}

import type { Frame } from 'playwright-core';
import { expect } from 'vitest';
import { expectDrawn, expectNoViolations, until } from './checks';
import type { Workbench } from './workbench';

/**
 * The page that shows this model, by its title. An opening model replaces the preview of the one before a moment later, so the page in sight right after a click can
 * still be the old one.
 */
export async function pageOfModel(workbench: Workbench, name: string): Promise<Frame> {
  const shown = async () => {
    const page = await workbench.webview('model');
    return (await page.locator('[data-testid="title"]').innerText({ timeout: 2000 })) === name ? page : undefined;
  };
  return (await until(`the page of ${name}`, shown, (page) => page !== undefined)) as Frame;
}

/** Names of the tensor rows that are drawn, in their order. */
export function tensorRows(page: Frame): Promise<string[]> {
  return page.locator('.table-row').evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset['tensor'] ?? ''));
}

/** Waits until the rows are these, in this order. */
export async function expectRows(page: Frame, expected: readonly string[]): Promise<void> {
  await until(
    'tensor rows',
    () => tensorRows(page),
    (rows) => JSON.stringify(rows) === JSON.stringify(expected),
  );
}

/** Types into the filter of the tensor table. */
export async function filterTensors(page: Frame, text: string): Promise<void> {
  await page.locator('[data-testid="filter"] input').fill(text);
}

/** Chooses a tensor and waits for its statistics, histogram and heatmap. */
export async function selectTensor(page: Frame, name: string): Promise<void> {
  await page.locator(`.table-row[data-tensor="${name}"]`).click();
  await expectInspected(page, name);
}

/** The inspector shows this tensor with numbers and both pictures. */
export async function expectInspected(page: Frame, name: string): Promise<void> {
  await page.locator('[data-testid="tensor-name"]').filter({ hasText: name }).waitFor();
  await page.locator('[data-stat="minimum"]').waitFor();
  await expectDrawn(page.locator('canvas[data-testid="histogram"]'), 2);
  await expectDrawn(page.locator('canvas[data-testid="heatmap"]'), 8);
  await expectNoViolations(page);
}

/** A fact of the inspector by its id. */
export async function fact(page: Frame, id: string): Promise<string> {
  const text = await page.locator(`[data-stat="${id}"]`).first().innerText();
  expect(text).not.toBe('');
  return text;
}

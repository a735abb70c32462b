import type { Frame, Locator } from 'playwright-core';
import { expect } from 'vitest';
import type { Workbench } from './workbench';

/**
 * Polls until the condition holds. Throws with what was seen last. The limit only ends a test that hangs, so it leaves room for a busy machine; a time that the
 * design promises is measured and asserted by itself.
 */
export async function until<T>(what: string, read: () => Promise<T> | T, holds: (value: T) => boolean, timeoutMs = 90_000): Promise<T> {
  const end = Date.now() + timeoutMs;
  let seen = 'nothing';
  for (;;) {
    try {
      const value = await read();
      if (holds(value)) return value;
      seen = JSON.stringify(value) ?? 'undefined';
    } catch (error) {
      seen = String(error);
    }
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}; last seen: ${seen}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Number of different colours on a canvas: 1 means blank, 2 may be nothing but a frame. */
export function colours(canvas: Locator): Promise<number> {
  return canvas.evaluate((element) => {
    const { width, height } = element as HTMLCanvasElement;
    const context = (element as HTMLCanvasElement).getContext('2d');
    if (!context || width === 0 || height === 0) return 0;
    return new Set(new Uint32Array(context.getImageData(0, 0, width, height).data.buffer)).size;
  });
}

/** Waits until a canvas has a picture on it. */
export async function expectDrawn(canvas: Locator, atLeast = 3): Promise<void> {
  await canvas.waitFor();
  await until(
    'pixels on a canvas',
    () => colours(canvas),
    (count) => count >= atLeast,
  );
}

/** The page's own count of violations of its content security policy must be zero. */
export async function expectNoViolations(frame: Frame): Promise<void> {
  expect(await frame.locator('html').getAttribute('data-csp-violations')).toBe('0');
}

/** Nothing on the browser's console may speak of the policy either. */
export function expectCleanConsole(workbench: Workbench): void {
  expect(workbench.console.filter((line) => /content security policy|refused to/i.test(line))).toEqual([]);
}

import { expect } from 'vitest';
import { until } from './checks';
import type { Workbench } from './workbench';

/** The workspace's own model in a list of models; the bundled sample has the same name. */
export const ownModel = /loom-base(?!.*sample)/;

/** From the first pick of *Compress Model* to the start of the job, with the settings as they are. */
export async function startCompression(workbench: Workbench): Promise<void> {
  await workbench.command('Loomweight: Compress Model');
  await workbench.pick(ownModel);
  await workbench.inputShows('Choose a method');
  await workbench.pick('rtn');
  await workbench.pick('Continue');
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
  await workbench.pick('begin the job');
}

/** The state of the newest job in the Jobs tree. */
export function jobItem(workbench: Workbench, title: string | RegExp) {
  return workbench.treeItem(title).first();
}

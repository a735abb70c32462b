import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Scratch } from './server';

/** Milliseconds of each activation of the extension in this editor, from the log that it writes itself. */
export function activationTimes(scratch: Scratch): number[] {
  const logs = join(scratch.folder, 'server/data/logs');
  return readdirSync(logs, { recursive: true, encoding: 'utf8' })
    .filter((path) => basename(path) === 'Loomweight.log')
    .flatMap((path) => [...readFileSync(join(logs, path), 'utf8').matchAll(/activated in ([\d.]+) ms/g)])
    .map((match) => Number(match[1]));
}

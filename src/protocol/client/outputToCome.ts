import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** A path that a job is about to write. */
export interface OutputToCome {
  /** Absolute. */
  readonly path: string;
  /** The topmost folder above it that does not exist yet: the job makes it, so a job that fails removes it. Absent if its folder exists. */
  readonly firstMade?: string;
}

/** An output as it will be written from here. */
export function outputToCome(output: string): OutputToCome {
  const path = resolve(output);
  let firstMade: string | undefined;
  for (let parent = dirname(path); !existsSync(parent) && parent !== dirname(parent); parent = dirname(parent)) firstMade = parent;
  return { path, ...(firstMade === undefined ? {} : { firstMade }) };
}

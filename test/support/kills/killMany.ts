import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SeededRandom } from '../../../src/common/random';
import { killedKinds, preparation, writeRecipe } from './kinds';
import { killOne, runToEnd, type Victim } from './killOne';

/** Kills of one kind of job. */
export interface KillCount {
  readonly name: string;
  readonly kills: number;
  /** More jobs, which had finished when their time to die came. */
  readonly finished: number;
  readonly leftOver: readonly string[];
}

const victims: readonly Victim[] = ['all', 'engine', 'command'];

/**
 * Kills `count` jobs of all kinds in turn, each at a random time of what the kind takes, and looks for what the next start leaves.
 * `script`: the command line; `samples`: `media/samples`.
 */
export async function killMany(
  script: string,
  samples: string,
  count: number,
  { seed = 0, told = () => undefined }: { readonly seed?: number; readonly told?: (line: string) => void } = {},
): Promise<readonly KillCount[]> {
  const folder = mkdtempSync(join(tmpdir(), 'loomweight-kills-'));
  try {
    const place = { script, folder };
    const inputs = { samples, made: join(folder, 'made') };
    mkdirSync(inputs.made);
    writeRecipe(inputs);
    runToEnd(place, preparation(inputs));
    const random = new SeededRandom(seed);
    const kinds = killedKinds(inputs);
    const next = ['compare', join(samples, 'digits', 'digits-mlp.onnx'), join(samples, 'digits', 'digits-mlp.onnx')];
    const durations = new Map<string, number>();
    const counts = new Map<string, KillCount>();
    for (let index = 0; index < count; index += 1) {
      const { name, words } = kinds[index % kinds.length]!;
      const cleared = (): void => {
        for (const written of [join(folder, 'whole'), join(inputs.made, 'recipe')]) rmSync(written, { recursive: true, force: true });
      };
      cleared();
      const measured = (): number => {
        const seconds = runToEnd(
          place,
          words.map((word) => (word === 'OUT' ? join(folder, 'whole') : word)),
        );
        cleared();
        return seconds;
      };
      const duration = durations.get(name) ?? measured();
      let longest = duration;
      const sum = { finished: 0, kills: 0, leftOver: [] as readonly string[], ...counts.get(name) };
      // Of a job that has finished by its time to die another one is started, to die earlier.
      for (let killed = false; !killed;) {
        const victim = victims[random.nextBelow(victims.length)]!;
        const seconds = random.next() * longest;
        const { finished, leftOver } = await killOne(place, words, { seconds, victim, next, watched: join(inputs.made, 'recipe') });
        for (const path of leftOver) told(`${name}, ${victim} killed after ${seconds.toFixed(2)} s: ${path}`);
        if (finished) longest = seconds;
        killed = !finished;
        sum.finished += finished ? 1 : 0;
        sum.leftOver = [...sum.leftOver, ...leftOver];
        cleared();
      }
      durations.set(name, duration);
      counts.set(name, { ...sum, name, kills: sum.kills + 1 });
    }
    return [...counts.values()];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

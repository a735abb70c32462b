import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Makes the inputs that are too large or too odd for a repository: a wide table, busy recipes, a pipe, links, an index with a long name. */
export function makeOdd(folder: string): void {
  const columns = 200_000;
  writeFileSync(
    join(folder, 'wide.csv'),
    `${Array.from({ length: columns }, (_, index) => `c${index}`).join(',')}\n${Array.from({ length: columns }, () => '1').join(',')}\n`,
  );
  writeFileSync(join(folder, 'commas.loom.yaml'), `[${','.repeat(256 * 1024 - 100)}]`);
  writeFileSync(join(folder, 'nest.loom.yaml'), `${'['.repeat(90)}${']'.repeat(90)}\n`.repeat(1500).slice(0, 256 * 1024));
  mkdirSync(join(folder, 'long-shard'));
  writeFileSync(join(folder, 'long-shard', 'config.json'), '{}');
  writeFileSync(join(folder, 'long-shard', 'model.safetensors.index.json'), JSON.stringify({ weight_map: { w: 'a'.repeat(300) } }));
  mkdirSync(join(folder, 'empty'));
  symlinkSync(join(folder, 'empty'), join(folder, 'link-empty'));
  symlinkSync(join(folder, 'missing'), join(folder, 'link-missing'));
  const { status } = spawnSync('mkfifo', [join(folder, 'pipe.jsonl')]);
  if (status !== 0) throw new Error(`mkfifo ended with ${status}.`);
}

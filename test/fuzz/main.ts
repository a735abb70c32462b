import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { corpusOf } from './corpus';
import { fuzz } from './fuzz';
import { fuzzedReaders } from './readers';

/** `npm run fuzz`: mutated inputs for every reader. Prints counts as JSON; exit code 1 where a reader broke its promise, with the inputs in .tmp/fuzz. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string' },
      inputs: { type: 'string' },
      seed: { type: 'string', default: '1' },
      readers: { type: 'string' },
    },
  });
  const minutes = Number(values.minutes ?? (values.inputs === undefined ? '1' : 'Infinity'));
  const inputs = Number(values.inputs ?? 'Infinity');
  const seed = Number(values.seed);
  if (!(minutes > 0) || !(inputs > 0) || !Number.isInteger(seed)) {
    process.stderr.write('usage: npm run fuzz -- [--minutes M] [--inputs N] [--seed S] [--readers a,b]\n');
    return 2;
  }
  const folder = mkdtempSync(join(tmpdir(), 'loomweight-fuzz-'));
  try {
    const all = await fuzzedReaders(folder, join('test', 'fixtures'), join(__dirname, 'table.js'));
    const wanted = values.readers?.split(',');
    const readers = all.filter(({ name }) => wanted?.includes(name) ?? true);
    const counts = [];
    for (const reader of readers) {
      const end = Date.now() + (minutes * 60_000) / readers.length;
      const found = await fuzz(
        reader,
        corpusOf(join('test', 'fuzz', 'corpus'), reader.name),
        seed,
        (done) => done >= inputs || Date.now() > end,
      );
      const { findings, ...numbers } = found;
      for (const { why, bytes } of findings) {
        const name = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
        const at = join('.tmp', 'fuzz', reader.name.replaceAll(' ', '-'));
        mkdirSync(at, { recursive: true });
        writeFileSync(join(at, name), bytes);
        process.stderr.write(`${reader.name}: ${join(at, name)}: ${why}\n`);
      }
      process.stderr.write(`${reader.name}: ${found.inputs} inputs, ${found.refused} refused, ${findings.length} findings\n`);
      counts.push({ ...numbers, findings: findings.length });
    }
    process.stdout.write(
      `${JSON.stringify({ seed, minutes: Number.isFinite(minutes) ? minutes : undefined, readers: counts }, undefined, 2)}\n`,
    );
    return counts.some(({ findings }) => findings > 0) ? 1 : 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

void main().then((code) => process.exit(code));

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { formatSample } from '../../../src/engine/calibrate/calibrationSet';
import { calibrationWindows } from '../../../src/engine/compress/planning/calibrationWindows';
import { openSource } from '../../../src/engine/models/modelSource';
import { test } from '../../support/fixtures';
import { projectRoot } from '../../support/sourceTree';

const origin = { source: 'self', seed: 0, sequence: 0, model: 'x', provider: 'cpu' };

test('a set of samples is used token by token: start and end tokens stay, and nothing reaches from one sample into the next', async ({
  folder,
}) => {
  const samples = [
    [0, 17, 1, 0, 300, 4095],
    [0, 5, 6, 7, 8, 9],
    [0, 1, 0, 1, 0, 1],
  ];
  const file = join(folder, 'set.jsonl');
  // The texts say something else: they are not what is used.
  writeFileSync(file, samples.map((ids) => formatSample({ ids, text: 'It was a dark night.', origin })).join(''));
  const { container, decoder } = await openSource(join(projectRoot, 'media/samples/loom-base'));
  try {
    const windows = (window?: number, count?: number) =>
      calibrationWindows(container, decoder!.config, { calibration: file, ...(window && { window }), ...(count && { samples: count }) }, 0);
    expect(await windows()).toEqual({ windows: 3, length: 6, ids: BigInt64Array.from(samples.flat(), BigInt) });
    expect(await windows(4, 2)).toEqual({ windows: 2, length: 4, ids: BigInt64Array.from([0, 17, 1, 0, 0, 5, 6, 7], BigInt) });
    writeFileSync(file, formatSample({ ids: [0, 4096], text: 'x', origin }));
    await expect(windows()).rejects.toThrow(/Line 1 .* has token 4096, but the model's vocabulary ends at 4095/);
    // JSON lines with texts alone are a corpus, as before.
    writeFileSync(file, `${JSON.stringify({ text: 'It was a dark night. '.repeat(40) })}\n`);
    expect((await windows(8, 2)).windows).toBe(2);
  } finally {
    await container.close();
  }
});

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from 'vitest';
import { SeededRandom } from '../../../src/common/random';
import { encodeModel } from '../../../src/engine/formats/onnx/encodeModel';
import { GraphBuilder } from '../../../src/engine/graph/builder';
import { operators } from '../../../src/engine/ops/index';
import type { CompressReport } from '../../../src/protocol/report';
import { bundleForNode } from '../../support/bundle';
import { CommandLine, ended } from '../../support/commandLine';
import { test } from '../../support/fixtures';

let cli: CommandLine;

beforeAll(async () => {
  cli = await CommandLine.build();
}, 120_000);
afterAll(() => cli.remove());

/** Three products, each with more weights than one piece of work, and lengths that leave a rest behind whole groups. */
function stack(): Uint8Array {
  const random = new SeededRandom(5);
  const build = new GraphBuilder(operators, 'stack', 21);
  const widths = [700, 650, 720, 600];
  let x = build.input('x', { dtype: 'float32', shape: ['rows', widths[0] as number] });
  widths.slice(1).forEach((width, layer) => {
    const shape = [widths[layer] as number, width];
    const values = Float32Array.from({ length: shape[0]! * shape[1]! }, () => random.nextNormal() * 0.02);
    const weight = build.constant({ kind: 'inline', dtype: 'float32', shape, bytes: new Uint8Array(values.buffer) }, `w${layer}`);
    x = build.op('Relu', [build.op('MatMul', [x, weight])]);
  });
  build.output(x, 'y');
  return encodeModel(build.finish());
}

/** SHA-256 of every file except the report. */
function digests(folder: string): Readonly<Record<string, string>> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    (file) => file.isFile() && file.name !== 'report.json',
  );
  return Object.fromEntries(
    files.map(({ name, parentPath }) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(parentPath, name)))
        .digest('hex'),
    ]),
  );
}

test('an ONNX model has the same bytes and the same errors for any number of threads', { timeout: 240_000 }, async ({ folder }) => {
  const model = join(folder, 'stack.onnx');
  writeFileSync(model, stack());
  for (const settings of [
    ['--bits', '4', '--format', 'onnx-fast'],
    ['--bits', '3', '--clip', '--group-size', 'row', '--format', 'archive'],
  ]) {
    const results = [];
    for (const threads of ['1', '2', '8']) {
      const out = join(folder, `${settings.join('')}-${threads}`);
      const words = ['compress', model, '--method', 'rtn', ...settings, '--threads', threads, '--out', out];
      const { layers, notes, source, verification } = await cli.json<CompressReport>(words);
      expect(verification).toMatchObject({ passed: true, scope: 'whole' });
      // Else one thread would have done all the work.
      expect(notes.filter((note) => /one thread/.test(note))).toEqual([]);
      results.push({ files: digests(out), layers, source });
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  }
});

test(
  'the command ends with its report, and the process that compresses by itself: no thread holds them',
  { timeout: 120_000 },
  async ({ folder }) => {
    const model = join(folder, 'stack.onnx');
    writeFileSync(model, stack());
    const child = cli.start([
      'compress',
      model,
      '--method',
      'rtn',
      '--bits',
      '4',
      '--threads',
      '2',
      '--out',
      join(folder, 'out'),
      '--json',
    ]);
    let written = 0;
    child.stdout?.on('data', () => (written = performance.now()));
    expect(await ended(child)).toMatchObject({ code: 0 });
    // A thread that is not released holds a process for good; a busy machine may take a second to end it.
    expect(performance.now() - written).toBeLessThan(5000);

    // Next to the worker's script, and without the process.exit of the command line.
    const parent = join(cli.folder, 'parent.js');
    copyFileSync(await bundleForNode('test/support/compressParent.ts'), parent);
    const { stdout } = await promisify(execFile)(process.execPath, [parent, model, join(folder, 'by itself')], { timeout: 60_000 });
    expect(JSON.parse(stdout)).toEqual({
      notes: expect.not.arrayContaining([expect.stringMatching(/one thread/)]) as unknown,
      threads: [],
    });
  },
);

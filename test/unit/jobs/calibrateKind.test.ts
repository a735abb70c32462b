import { expect, test } from 'vitest';
import { calibrateKind } from '../../../src/engine/jobs/calibrate';
import { checkFields } from '../../../src/engine/jobs/stepKind';
import type { FieldWords } from '../../../src/protocol/fields';
import type { CalibrateSpec } from '../../../src/protocol/calibration';

const words: FieldWords = { name: (key) => key, lacks: () => 'lacks', absent: 'absent', present: (key) => key };
const problems = (values: Readonly<Record<string, unknown>>) =>
  checkFields(calibrateKind, { model: 'm', out: 'a.jsonl', ...values }, words);

test.each([
  [{}, []],
  [{ temperature: '2:1:16,0.7' }, []],
  [{ source: 'books.txt', prefix: 8, topK: 5 }, []],
  [
    { temperature: '0' },
    ["temperature must be T or T0:T1:STEPS, or several of them with commas between, with temperatures above 0 and at most 100, got '0'."],
  ],
  [{ out: 'folder/a.txt' }, ["out must name a file with the ending .jsonl, got 'a.txt'."]],
  [{ source: 'random', temperature: '1' }, ['temperature applies only to what the model writes.']],
  [{ source: 'books.txt', topP: 0.9 }, ['topP applies only to what the model writes.']],
  [{ prefix: 8 }, ['prefix requires a text as source.']],
  [{ source: 'random', prefix: 8 }, ['prefix requires a text as source.']],
])('%j', (values, expected) => {
  expect(problems(values).map(({ message }) => message)).toEqual(expected);
});

test('a step depends on its text, and is named by it', () => {
  const spec: CalibrateSpec = { kind: 'calibrate', model: '/m/loom', source: '/t/books.txt', samples: 1000, out: '/o/a.jsonl' };
  expect(calibrateKind.inputs(spec)).toEqual(['/m/loom', '/t/books.txt']);
  expect(calibrateKind.inputs({ ...spec, source: 'self' })).toEqual(['/m/loom']);
  expect(calibrateKind.outputs(spec)).toEqual(['/o/a.jsonl']);
  expect(calibrateKind.describe(spec)).toEqual({
    title: 'Generate calibration samples with loom',
    subtitle: 'books.txt, 1,000 samples',
    output: '/o/a.jsonl',
    opens: 'report',
  });
});

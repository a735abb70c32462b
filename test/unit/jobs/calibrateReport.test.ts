import { expect, test } from 'vitest';
import { calibrateKind } from '../../../src/engine/jobs/calibrate';
import { generateKind } from '../../../src/engine/jobs/generate';
import type { CalibrateReport } from '../../../src/protocol/calibration';
import type { GenerateReport } from '../../../src/protocol/report';
import { compressReport } from '../../support/jobSamples';

const environment = compressReport.environment;
const sample = { unigramEntropy: 5, distinct: [0.5, 0.9, 1], repetition: 0, perplexity: 50 };
const calibrated: CalibrateReport = {
  kind: 'calibrate',
  source: 'self',
  samples: 7,
  length: 32,
  tokens: 224,
  model: 'ab',
  seed: 3,
  statistics: {
    ...sample,
    repetition: 0.012,
    differentTokens: 90,
    vocabularyCoverage: 0.25,
    documents: 9,
    differentSequences: 7,
    scripts: [
      { script: 'Latin', share: 0.75 },
      { script: 'Han', share: 0.25 },
    ],
  },
  perSample: Array.from({ length: 7 }, (_, index) => ({ ...sample, beginning: `sample ${index}\nline` })),
  choices: ['written by the model'],
  environment,
  seconds: 2,
  generatingSeconds: 1,
  tokensPerSecond: 224,
  peakRssBytes: 1e6,
  out: '/o/self.jsonl',
  bytes: 2048,
};
const generated: GenerateReport = {
  kind: 'generate',
  prompt: 'It was',
  text: ' dark.\n\nVery dark.',
  promptTokens: [0, 7],
  tokens: [4, 5, 1],
  logProbabilities: [-1, -2, -3],
  stopped: 'end',
  choices: ['greedy'],
  seed: 0,
  environment,
  seconds: 2,
  generatingSeconds: 1,
  tokensPerSecond: 1234.5,
  peakRssBytes: 1e6,
};

test('a set is shown with its statistics, and the beginnings of the first samples', () => {
  expect(calibrateKind.outcome(calibrated)).toBe('7 samples · 224 tokens');
  const text = calibrateKind.text(calibrated, { verbose: false });
  expect(text).toMatch(/Different tokens +90, 25\.0 % of the vocabulary/);
  expect(text).toMatch(/Repeated 4-grams +1\.2 %/);
  expect(text).toMatch(/Scripts +Latin 75\.0 %, Han 25\.0 %/);
  expect(text).toMatch(/Perplexity +50 under the model itself/);
  expect(text).toMatch(/sample 4 line\n +and 2 more/);
  expect(text).not.toContain('sample 5');
  expect(calibrateKind.text(calibrated, { verbose: true })).toContain('sample 6 line');
  const page = calibrateKind.page(calibrated, undefined);
  expect(page.figures.map(({ value }) => value)).toEqual(['7', '5 bits', '2.0 s']);
  expect(page.sections.map((section) => section.heading)).toEqual(['Statistics', 'Samples begin with', 'Conditions', 'Environment']);
});

test('a generated text is shown with how it ended', () => {
  expect(generateKind.outcome(generated)).toBe('3 tokens · 1,235 tokens/s');
  expect(generateKind.text(generated, { verbose: false })).toMatch(/Tokens +3 behind 2 of prompt, ended by the model/);
  const page = generateKind.page(generated, { kind: 'generate', model: '/m/loom', prompt: 'It was' });
  expect(page).toMatchObject({
    title: 'loom',
    subtitle: 'It was',
    sections: [{ heading: 'Text', items: [' dark.', 'Very dark.'] }, {}, {}],
  });
});

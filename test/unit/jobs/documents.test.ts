import { expect, test } from 'vitest';
import { compareKind } from '../../../src/engine/jobs/compare';
import { compressKind } from '../../../src/engine/jobs/compress';
import { evaluateKind } from '../../../src/engine/jobs/evaluate';
import { stepKinds } from '../../../src/engine/jobs/index';
import { learnKind } from '../../../src/engine/jobs/learn';
import { describeRecipe, recipeView } from '../../../src/engine/recipe/recipeReport';
import type { CompareReport, EvaluateReport } from '../../../src/protocol/report';
import { compressReport, compressSpec, learnReport, learnSpec } from '../../support/jobSamples';

const evaluated = (metric: EvaluateReport['metric'], value: number): EvaluateReport => ({
  kind: 'evaluate',
  metric,
  value,
  loss: 0.1,
  choices: ['text read as UTF-8'],
  environment: compressReport.environment,
  seconds: 1,
  peakRssBytes: 1,
});

test('titles and outcomes read as sentences', () => {
  expect(compressKind.describe(compressSpec)).toEqual({
    title: 'Compress loom-base',
    subtitle: 'rtn, onnx-fast',
    output: '/out',
    model: { source: 'loom-base', method: 'rtn, onnx-fast' },
    opens: 'layers',
  });
  expect(compressKind.describe({ ...compressSpec, budget: 3.5 }).subtitle).toBe('budget of 3.5 bits per weight, onnx-fast');
  expect(learnKind.describe(learnSpec)).toMatchObject({
    title: 'Learn bits of digits-mlp.onnx',
    subtitle: 'diffq, target 3 bits per weight, 100 steps',
    checkpoint: '/out/learned.checkpoint',
  });
  expect(describeRecipe({ kind: 'recipe', recipe: '/a/first.loom.yaml' }).title).toBe('Run first.loom.yaml');
  expect(compressKind.outcome(compressReport)).toBe('5 bits · 2.00 MiB');
  expect(evaluateKind.outcome(evaluated('perplexity', 97.4911))).toBe('perplexity 97.491');
});

test('a compress report names checks with measure and limit', () => {
  const document = compressKind.page(compressReport, compressSpec);
  expect(document.verdict).toEqual({ state: 'passed', text: 'Verified' });
  expect(document.sections[0]).toMatchObject({
    kind: 'checks',
    items: [{ state: 'passed', title: 'Logits as planned, exact kernels', text: '3.000e-5 absolute, limit 0.001' }],
  });
  expect(document.figures.map(({ value }) => value)).toEqual(['2.00 MiB', '4 ×', '5']);
});

test('the report of learned widths begins with quality before and after', () => {
  const document = learnKind.page(learnReport, learnSpec);
  expect(document.verdict?.state).toBe('passed');
  expect(document.figures.map(({ label, value, note }) => [label, value, note])).toEqual([
    ['Bits per weight', '3', '4,000,000 parameters'],
    ['Size', '2.00 MiB', 'from 8.00 MiB'],
    ['Accuracy', '97.5 %', '97.78 % before'],
  ]);
  expect(document.sections[0]).toMatchObject({ kind: 'table', heading: 'Quality on held-out data' });
  const layers = document.sections.find(({ heading }) => heading === 'Layers');
  expect(JSON.stringify(layers)).toContain('2: 25 %, 4: 75 %');
  // With several formats a check names its own.
  expect(JSON.stringify(document.sections[1])).toContain('archive: Written weights decode to what was planned');
});

test('an accuracy is a percentage, a perplexity is not', () => {
  const spec = { kind: 'evaluate', model: '/m/a', text: '/t/b.txt' } as const;
  const show = (metric: 'accuracy' | 'perplexity', value: number) => evaluateKind.page(evaluated(metric, value), spec);
  expect(show('accuracy', 0.9625).figures[0]?.value).toBe('96.25 %');
  expect(show('perplexity', 97.4911)).toMatchObject({
    title: 'a',
    subtitle: 'Evaluated on b.txt',
    figures: [{ value: '97.491' }, {}, {}, {}],
  });
});

test('a recipe shows the figures of every step', () => {
  const compared: CompareReport = {
    kind: 'compare',
    first: '/m/a',
    second: '/m/b',
    equal: 1,
    changed: 2,
    missing: 0,
    tensors: [],
    seconds: 1,
    peakRssBytes: 1,
  };
  const steps = [
    { name: 'small', report: compressReport },
    { name: 'after', report: evaluated('perplexity', 97.4911) },
    { name: 'changed', report: compared },
  ];
  const view = recipeView({ kind: 'recipe', recipe: '/a/first.loom.yaml', steps, seconds: 61 }, stepKinds);
  expect(view.outcome).toBe('3 steps · 1 min 1 s');
  expect(view.page.sections).toMatchObject([
    { heading: 'small', rows: [{ value: 'compress: loom-base' }, {}, {}, {}, { label: 'Result', value: 'Verified' }] },
    { heading: 'after', rows: [{ value: 'evaluate: Perplexity' }, { value: '97.491 (lower is better)' }, {}, {}, {}] },
    { heading: 'changed', rows: [{ value: 'compare: a and b' }, {}, {}, {}, {}, { value: '2 of 3 changed' }] },
  ]);
  expect(compareKind.page(compared, undefined)).toEqual(compareKind.page(compared, { kind: 'compare', first: '/m/a', second: '/m/b' }));
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { globMatcher } from '../../../src/common/glob';
import { JobHistory } from '../../../src/extension/jobs/jobHistory';
import { bitAllocationView } from '../../../src/extension/reports/bitAllocationView';
import { budgetRecipe, budgetSpec } from '../../../src/extension/reports/budgetRecipe';
import { readModelReport, recallReport } from '../../../src/extension/reports/finishedReport';
import { jobView } from '../../../src/extension/reports/jobView';
import { compressJob, compressReport, compressSpec as spec, learnJob, learnReport } from '../../support/jobSamples';

describe('a budget from the panel', () => {
  test('replaces budget and folder, and appends pins to the overrides', () => {
    const before = { ...spec, overrides: [{ glob: '*.up', parameters: { bits: 6 } }] };
    const made = budgetSpec(before, { budget: 3.25, pins: { 'layers.0.up': 8 } }, '/new');
    expect(made).toMatchObject({ budget: 3.25, out: '/new', method: 'rtn' });
    expect(made.overrides).toEqual([
      { glob: '*.up', parameters: { bits: 6 } },
      { glob: 'layers.0.up', parameters: { bits: 8 } },
    ]);
  });

  test('a pin matches its tensor despite special characters in the name', () => {
    for (const name of ['onnx::MatMul_1', 'a{0},b', 'w*', 'plain.weight']) {
      const [override] = budgetSpec(spec, { budget: 3, pins: { [name]: 4 } }, '/o').overrides ?? [];
      expect(globMatcher(override?.glob ?? '')(name), name).toBe(true);
    }
  });

  test('the recipe equals the job, with paths relative to its file', () => {
    const made = budgetSpec(
      { ...spec, parameters: {}, sensitivity: 'activation', embeddings: true, calibration: '/models/text.txt' },
      { budget: 3.25, pins: { 'it\'s "odd": #1': 8 } },
      '/work space/out',
    );
    const recipe = parse(budgetRecipe(made, '/models/recipes/a.loom.yaml')) as { steps: Record<string, unknown>[] };
    expect(recipe.steps[0]).toEqual({
      kind: 'compress',
      name: 'small',
      model: '../loom-base',
      method: 'rtn',
      budget: 3.25,
      sensitivity: 'activation',
      calibration: '../text.txt',
      overrides: [{ glob: 'it\'s "odd": #1', parameters: { bits: 8 } }],
      embeddings: true,
      format: 'onnx-fast',
      out: '../../work space/out',
    });
  });
});

describe('reports that are no longer in the history', () => {
  test('are read from the output folder; other files are refused with what to do', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'loomweight-report-'));
    try {
      writeFileSync(join(folder, 'report.json'), JSON.stringify(compressReport));
      writeFileSync(join(folder, 'other.json'), '{"kind":"evaluate"}');
      writeFileSync(join(folder, 'broken.json'), '{');
      const history = new JobHistory({ get: () => [], set: () => undefined });
      history.add({ ...compressJob, description: { ...compressJob.description, output: folder }, status: 'done' });
      await recallReport(history, compressJob.id);
      expect(history.get(compressJob.id)?.report).toEqual(compressReport);
      for (const name of ['other.json', 'broken.json']) {
        await expect(readModelReport(join(folder, name))).rejects.toMatchObject({ code: 'malformed-file' });
      }
      await expect(readModelReport(join(folder, 'none.json'))).rejects.toMatchObject({ code: 'not-found' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('learned widths', () => {
  test('the bit allocation shows histograms and explains how to get sliders', () => {
    const view = bitAllocationView({ ...learnJob, status: 'done', report: learnReport });
    expect(view).toMatchObject({ curves: true, method: 'diffq, archive, onnx-packed' });
    expect(view?.layers[0]?.histogram).toEqual({ bits: [2, 4], weights: [250, 750] });
    expect(view?.allocationHint).toContain('Budget (bits per weight)');
  });

  test('the Job panel has the curves while it runs and afterwards, and Cancel only while it runs', () => {
    const training = { ...learnReport.training, step: 10 };
    const progress = { phase: 'Training', done: 10, total: 100, unit: 'steps', elapsedSeconds: 1, rssBytes: 1, training };
    const running = jobView({ ...learnJob, progress }, [{ seconds: 0, level: 'info', text: 'Training' }]);
    expect(running).toMatchObject({ status: 'running', fraction: 0.1, subtitle: 'diffq, target 3 bits per weight, 100 steps' });
    expect(running.training?.step).toBe(10);
    expect(running.actions.map(({ id }) => id)).toEqual(['cancel', 'bitAllocation']);
    const done = jobView({ ...learnJob, status: 'done', report: learnReport }, []);
    expect(done.training).toMatchObject({ step: 100, bestStep: 80 });
    expect(done.actions.map(({ id }) => id)).toEqual(['openReport', 'bitAllocation', 'revealOutput']);
    const cancelled = jobView({ ...learnJob, status: 'cancelled' }, []);
    expect(cancelled.actions).toEqual([]);
    const checkpoint = tmpdir();
    const kept = jobView({ ...learnJob, description: { ...learnJob.description, checkpoint }, status: 'cancelled' }, []);
    expect(kept.actions).toEqual([{ id: 'resume', label: 'Resume' }]);
  });
});

import { join } from 'node:path';
import type { EvaluateSpec } from '../../protocol/jobs';
import { modelName } from '../../common/modelName';
import { wholeModel } from '../models/modelFiles';
import { readSettings } from '../settings';
import { confirmForecast } from './confirmForecast';
import type { CommandContext } from './context';
import { pickData } from './pickData';
import { pickModel } from './pickers';
import { askText, settingsHub } from './settingsHub';

/** *Evaluate Model*: model, text or data, window and limit, forecast, job. */
export async function evaluateModel(context: CommandContext, target: unknown): Promise<void> {
  if (!context.messages.requireTrust('Evaluating')) return;
  const model = wholeModel(await pickModel(context.catalog, target, { title: 'Evaluate Model' }));
  const title = `Evaluate ${modelName(model)}`;
  const source = await pickData(context, {
    title,
    model,
    placeholder: 'Choose the text or data to evaluate on',
    textDetail: 'Perplexity of a language model on this text',
    dataDetail: 'NumPy files <split>-<input>.npy and <split>-label.npy',
    sample: { path: join(context.samples, 'text', 'books.txt'), detail: 'The last pages of Emma and Persuasion, 60 kB' },
  });
  const numbers = { window: '', limit: '', split: 'test' };
  const whole = (text: string) => (text === '' || /^[1-9]\d*$/.test(text) ? undefined : 'Enter a whole number above 0, or leave empty.');
  const ask = async (key: keyof typeof numbers, prompt: string, check?: (text: string) => string | undefined) => {
    numbers[key] = await askText({ title, prompt, value: numbers[key], ...(check && { check }) });
  };
  for (;;) {
    await settingsHub({
      title,
      next: 'show the forecast',
      entries: () =>
        'text' in source
          ? [
              {
                label: 'Window',
                value: numbers.window || "the model's context, at most 2048",
                detail: 'Tokens evaluated together; perplexities are comparable only for the same window',
                edit: () => ask('window', 'Tokens per window; leave empty for the default', whole),
              },
              {
                label: 'Windows',
                value: numbers.limit || 'all',
                detail: 'A few windows are enough for a first estimate',
                edit: () => ask('limit', 'Number of windows from the start; leave empty for all', whole),
              },
            ]
          : [
              {
                label: 'Split',
                value: numbers.split,
                detail: 'Selects which files in the data folder are read',
                edit: () => ask('split', 'Name of the split', (text) => (text.trim() === '' ? 'Enter the name of a split.' : undefined)),
              },
            ],
    });
    const spec: EvaluateSpec = {
      kind: 'evaluate',
      model,
      ...('text' in source
        ? {
            text: source.text,
            ...(numbers.window !== '' && { window: Number(numbers.window) }),
            ...(numbers.limit !== '' && { limit: Number(numbers.limit) }),
          }
        : { data: source.data, split: numbers.split }),
      ...readSettings().jobOptions,
    };
    const confirmed = await confirmForecast(context, spec, title);
    if (confirmed) {
      void context.jobs.run(confirmed);
      return;
    }
  }
}

import { dirname, join } from 'node:path';
import * as vscode from 'vscode';
import type { EvaluateSpec } from '../../protocol/jobs';
import { modelName } from '../jobs/jobText';
import { wholeModel } from '../models/modelFiles';
import { readSettings } from '../settings';
import { confirmForecast } from './confirmForecast';
import type { CommandContext } from './context';
import type { Choice } from './pickers';
import { choose, pickFile, pickFolder, pickModel, separator } from './pickers';
import { askText, settingsHub } from './settingsHub';

/** Most texts and data folders of the workspace that are offered. */
const mostSources = 200;

type Source = { readonly text: string } | { readonly data: string };

/** *Evaluate Model*: model, text or data, window and limit, forecast, job. */
export async function evaluateModel(context: CommandContext, target: unknown): Promise<void> {
  if (!context.messages.requireTrust('Evaluating')) return;
  const model = wholeModel(await pickModel(context.catalog, target, { title: 'Evaluate Model' }));
  const title = `Evaluate ${modelName(model)}`;
  const source = await pickSource(title, join(context.samples, 'text', 'books.txt'));
  const numbers = { window: '', limit: '', split: 'test' };
  const whole = (text: string) => (text === '' || /^[1-9]\d*$/.test(text) ? undefined : 'A whole number above 0, or nothing.');
  const ask = async (key: keyof typeof numbers, prompt: string, check?: (text: string) => string | undefined) => {
    numbers[key] = await askText({ title, prompt, value: numbers[key], ...(check && { check }) });
  };
  for (;;) {
    await settingsHub({
      title,
      next: 'to the forecast',
      entries: () =>
        'text' in source
          ? [
              {
                label: 'Window',
                value: numbers.window || "the model's context, at most 2048",
                detail: 'Tokens read at a time; perplexities of different windows cannot be compared',
                edit: () => ask('window', 'Tokens of a window; empty for the default', whole),
              },
              {
                label: 'Windows',
                value: numbers.limit || 'all',
                detail: 'A few windows are enough for a first look',
                edit: () => ask('limit', 'Only the first windows; empty for all', whole),
              },
            ]
          : [
              {
                label: 'Split',
                value: numbers.split,
                detail: 'Which files of the data folder are read',
                edit: () => ask('split', 'Name of the split', (text) => (text.trim() === '' ? 'Name a split.' : undefined)),
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
    if (await confirmForecast(context, spec, title)) {
      void context.jobs.run(spec);
      return;
    }
  }
}

async function pickSource(title: string, sampleText: string): Promise<Source> {
  const [texts, arrays] = await Promise.all([
    vscode.workspace.findFiles('**/*.txt', '**/node_modules/**', mostSources),
    vscode.workspace.findFiles('**/*-label.npy', '**/node_modules/**', mostSources),
  ]);
  const folders = [...new Set(arrays.filter(({ scheme }) => scheme === 'file').map(({ fsPath }) => dirname(fsPath)))];
  const items: Choice<Source>[] = [
    ...texts
      .filter(({ scheme }) => scheme === 'file')
      .map((uri) => ({ label: `$(file-text) ${vscode.workspace.asRelativePath(uri)}`, value: { text: uri.fsPath } })),
    ...folders.map((data) => ({ label: `$(database) ${vscode.workspace.asRelativePath(data)}`, description: 'data', value: { data } })),
    separator('Bundled with Loomweight'),
    {
      label: '$(file-text) Sample text',
      description: 'sample',
      detail: 'The last pages of Emma and Persuasion, 60 kB',
      value: { text: sampleText },
    },
    separator('On this machine'),
    { label: '$(file) Choose a text file…', detail: 'Perplexity of a language model on this text', value: { text: '' } },
    {
      label: '$(folder-opened) Choose a data folder…',
      detail: 'NumPy files <split>-<input>.npy and <split>-label.npy',
      value: { data: '' },
    },
  ];
  const source = await choose(items, { title, placeholder: 'Evaluate on which text or data?' });
  if ('text' in source && source.text === '') return { text: await pickFile(title, { Text: ['txt', 'md'], All: ['*'] }) };
  if ('data' in source && source.data === '') return { data: await pickFolder(title) };
  return source;
}

import { dirname } from 'node:path';
import * as vscode from 'vscode';
import type { CommandContext } from './context';
import { inputsOf, misfit } from './dataFit';
import type { Choice } from './pickers';
import { choose, pickFile, pickFolder, separator } from './pickers';

/** Most texts, tables and data folders of the workspace that are offered. */
const mostSources = 200;

/** Text for a language model, or a data folder or table. */
export type DataSource = { readonly text: string } | { readonly data: string };

/** What to ask for. */
export interface DataQuestion {
  readonly title: string;
  readonly placeholder: string;
  /** What the data is for: what fits it comes first. */
  readonly model: string;
  /** What a text and a data folder are good for here. */
  readonly textDetail: string;
  readonly dataDetail: string;
  /** A bundled text to offer. */
  readonly sample?: { readonly path: string; readonly detail: string };
  /** Tables are offered too. */
  readonly tables?: boolean;
}

/** Something of the workspace to offer. */
interface Suggestion {
  readonly icon: string;
  readonly path: string;
  readonly value: DataSource;
  readonly description?: string;
  /** Why it does not fit the model. */
  readonly problem?: string | undefined;
}

/** Asks for a text, a folder of NumPy files or a table: one of the workspace, those that fit the model first, or another from the disk. */
export async function pickData(context: CommandContext, question: DataQuestion): Promise<DataSource> {
  const { sample } = question;
  const items = suggestions(context, question).then((found): Choice<DataSource>[] => {
    const fitting = found.filter(({ problem }) => problem === undefined);
    const others = found.filter(({ problem }) => problem !== undefined);
    return [
      ...fitting.map(entry),
      ...(sample
        ? [
            separator<DataSource>('Bundled with Loomweight'),
            { icon: 'file-text', label: 'Sample text', description: 'sample', detail: sample.detail, value: { text: sample.path } },
          ]
        : []),
      separator('On this machine'),
      { icon: 'file', label: 'Choose a text file…', detail: question.textDetail, value: { text: '' } },
      { icon: 'folder-opened', label: 'Choose a data folder…', detail: question.dataDetail, value: { data: '' } },
      ...(question.tables === true
        ? [{ icon: 'table', label: 'Choose a table…', detail: 'CSV or Parquet', value: { data: ':table' } }]
        : []),
      ...(others.length > 0 ? [separator<DataSource>('Does not seem to fit this model'), ...others.map(entry)] : []),
    ];
  });
  const source = await choose(items, question);
  if ('text' in source) return source.text === '' ? { text: await pickFile(question.title, { Text: ['txt', 'md'], All: ['*'] }) } : source;
  if (source.data === ':table') return { data: await pickFile(question.title, { Tables: ['csv', 'parquet'] }) };
  return source.data === '' ? { data: await pickFolder(question.title) } : source;
}

async function suggestions(context: CommandContext, question: DataQuestion): Promise<readonly Suggestion[]> {
  const find = (pattern: string) =>
    vscode.workspace
      .findFiles(pattern, '**/node_modules/**', mostSources)
      .then((found) => found.filter(({ scheme }) => scheme === 'file').map(({ fsPath }) => fsPath));
  const [texts, arrays, tables, summary] = await Promise.all([
    find('**/*.txt'),
    find('**/*-label.npy'),
    question.tables === true ? find('**/*.{csv,parquet}') : [],
    context.catalog.summary(question.model).catch(() => undefined),
  ]);
  const model = summary && inputsOf(summary);
  const shapeOf = (file: string) =>
    context.engine.ask('inspect', { model: file }).then(
      ({ tensors }) => tensors[0]?.shape,
      () => undefined,
    );
  const noText = model && !model.readsText ? 'the model takes arrays, not text' : undefined;
  const onlyText = model?.readsText ? 'a language model takes text' : undefined;
  const folders = await Promise.all(
    [...new Set(arrays.map((path) => dirname(path)))].map(async (path): Promise<Suggestion> => ({
      icon: 'database',
      path,
      value: { data: path },
      description: 'data',
      problem: onlyText ?? (model && (await misfit(path, model, shapeOf))),
    })),
  );
  return [
    ...texts.map((path) => ({ icon: 'file-text', path, value: { text: path }, problem: noText })),
    ...folders,
    ...tables.map((path) => ({ icon: 'table', path, value: { data: path }, description: 'table', problem: onlyText })),
  ];
}

function entry({ icon, path, value, description, problem }: Suggestion): Choice<DataSource> {
  return {
    icon,
    label: vscode.workspace.asRelativePath(path),
    value,
    ...(description !== undefined && { description }),
    ...(problem !== undefined && { detail: problem }),
  };
}

import { dirname } from 'node:path';
import * as vscode from 'vscode';
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
  /** What a text and a data folder are good for here. */
  readonly textDetail: string;
  readonly dataDetail: string;
  /** A bundled text to offer. */
  readonly sample?: { readonly path: string; readonly detail: string };
  /** Tables are offered too. */
  readonly tables?: boolean;
}

/** Asks for a text, a folder of NumPy files or a table: one of the workspace, or another from the disk. */
export async function pickData(question: DataQuestion): Promise<DataSource> {
  const find = (pattern: string) =>
    vscode.workspace
      .findFiles(pattern, '**/node_modules/**', mostSources)
      .then((found) => found.filter(({ scheme }) => scheme === 'file').map(({ fsPath }) => fsPath));
  const [texts, arrays, tables] = await Promise.all([
    find('**/*.txt'),
    find('**/*-label.npy'),
    question.tables === true ? find('**/*.{csv,parquet}') : [],
  ]);
  const folders = [...new Set(arrays.map((path) => dirname(path)))];
  const entry = (icon: string, path: string, value: DataSource, description?: string): Choice<DataSource> => ({
    icon,
    label: vscode.workspace.asRelativePath(path),
    value,
    ...(description !== undefined && { description }),
  });
  const { sample } = question;
  const items: Choice<DataSource>[] = [
    ...texts.map((path) => entry('file-text', path, { text: path })),
    ...folders.map((path) => entry('database', path, { data: path }, 'data')),
    ...tables.map((path) => entry('table', path, { data: path }, 'table')),
    ...(sample
      ? [
          separator<DataSource>('Bundled with Loomweight'),
          { icon: 'file-text', label: 'Sample text', description: 'sample', detail: sample.detail, value: { text: sample.path } },
        ]
      : []),
    separator('On this machine'),
    { icon: 'file', label: 'Choose a text file…', detail: question.textDetail, value: { text: '' } },
    { icon: 'folder-opened', label: 'Choose a data folder…', detail: question.dataDetail, value: { data: '' } },
    ...(question.tables === true ? [{ icon: 'table', label: 'Choose a table…', detail: 'CSV or Parquet', value: { data: ':table' } }] : []),
  ];
  const source = await choose(items, question);
  if ('text' in source) return source.text === '' ? { text: await pickFile(question.title, { Text: ['txt', 'md'], All: ['*'] }) } : source;
  if (source.data === ':table') return { data: await pickFile(question.title, { Tables: ['csv', 'parquet'] }) };
  return source.data === '' ? { data: await pickFolder(question.title) } : source;
}

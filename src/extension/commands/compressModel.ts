import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import * as vscode from 'vscode';
import type { ParamValue } from '../../common/params';
import type { CompressSpec, OutputFormat } from '../../protocol/jobs';
import { outputFormats } from '../../protocol/jobs';
import type { MethodDescription } from '../../protocol/methods';
import { modelName } from '../jobs/jobText';
import { editorFor, proposeOutput, wholeModel } from '../models/modelFiles';
import { readSettings } from '../settings';
import { confirmForecast } from './confirmForecast';
import type { CommandContext } from './context';
import { parameterEntries, valueText } from './parameterEntries';
import { choose, pickModel } from './pickers';
import type { HubEntry } from './settingsHub';
import { askText, settingsHub } from './settingsHub';

const formatWords: Readonly<Record<OutputFormat, readonly [label: string, detail: string]>> = {
  hf: ['Hugging Face folder', 'safetensors with the rounded weights; same size, opens in transformers as it is'],
  onnx: ['ONNX, portable', 'QuantizeLinear and DequantizeLinear; runs everywhere'],
  'onnx-fast': ['ONNX, fast', 'MatMulNBits: small in memory, fast for one token; 2, 4 or 8 bits'],
  archive: ['Archive', 'bit planes, the smallest file; Loomweight reads it back exactly'],
  'onnx-packed': ['ONNX, packed', 'any width, smallest file of standard operators; unpacks itself at load'],
};

/** What the user has decided so far. */
interface Draft {
  readonly model: string;
  readonly method: MethodDescription;
  readonly values: Record<string, ParamValue>;
  format: OutputFormat;
  tensors: string;
  embeddings: boolean;
  head: boolean;
  out: string;
  outChosen: boolean;
}

/** *Compress Model*: model, method, settings in one list, forecast, job. */
export async function compressModel(context: CommandContext, target: unknown): Promise<void> {
  if (!context.messages.requireTrust('Compressing')) return;
  const model = wholeModel(await pickModel(context.catalog, target, { title: 'Compress Model' }));
  const title = `Compress ${modelName(model)}`;
  const methods = context.engine.ask('methods', {});
  const method = await choose(
    methods.then((list) =>
      list
        .filter(({ family }) => family === 'quantizer')
        .map((value) => ({ label: value.label, description: value.id, detail: value.summary, value })),
    ),
    { title, placeholder: 'Choose a method' },
  );
  const draft: Draft = {
    model,
    method,
    values: Object.fromEntries(method.parameters.map((spec) => [spec.key, spec.default])),
    format: defaultFormat(model, method),
    tensors: '',
    embeddings: false,
    head: false,
    out: '',
    outChosen: false,
  };
  for (;;) {
    await settingsHub({ title, next: 'to the forecast', entries: () => entriesOf(draft, title) });
    const spec = specOf(draft);
    if (await confirmForecast(context, spec, title)) {
      void context.jobs.run(spec);
      return;
    }
  }
}

function entriesOf(draft: Draft, title: string): readonly HubEntry[] {
  if (!draft.outChosen) draft.out = freeFolder(draft);
  const yesNo = (key: 'embeddings' | 'head', label: string, detail: string): HubEntry => ({
    label,
    value: valueText(draft[key]),
    detail,
    edit: async () => {
      draft[key] = !draft[key];
    },
  });
  return [
    ...parameterEntries(draft.method.parameters, draft.values, title),
    {
      label: 'Output',
      value: formatWords[draft.format][0],
      detail: formatWords[draft.format][1],
      edit: async () => {
        draft.format = await choose(
          outputFormats.map((value) => ({ label: formatWords[value][0], description: value, detail: formatWords[value][1], value })),
          { title, placeholder: 'What to write' },
        );
      },
    },
    {
      label: 'Folder',
      value: vscode.workspace.asRelativePath(draft.out),
      detail: 'A new folder; nothing is written in place',
      edit: async () => {
        draft.out = await askText({
          title,
          prompt: 'Folder to write. It must not exist yet.',
          value: draft.out,
          check: (path) =>
            path.trim() === ''
              ? 'Name a folder.'
              : existsSync(path.trim())
                ? 'This folder exists already. Choose another name.'
                : undefined,
        });
        draft.outChosen = true;
      },
    },
    {
      label: 'Tensors',
      value: draft.tensors === '' ? 'linear layers of the blocks' : draft.tensors,
      detail: 'A pattern such as *.mlp.* keeps the others as they are',
      edit: async () => {
        draft.tensors = await askText({ title, prompt: 'Pattern of tensor names; empty for all linear layers', value: draft.tensors });
      },
    },
    yesNo('embeddings', 'Embeddings', 'Compress the embedding table too'),
    yesNo('head', 'Head', 'Compress the output layer too'),
  ];
}

function specOf(draft: Draft): CompressSpec {
  return {
    kind: 'compress',
    model: draft.model,
    method: draft.method.id,
    parameters: draft.values,
    format: draft.format,
    out: draft.out,
    ...(draft.tensors !== '' && { tensors: draft.tensors }),
    ...(draft.embeddings && { embeddings: true }),
    ...(draft.head && { head: true }),
    ...readSettings().jobOptions,
  };
}

/**
 * The format that most people want: `onnx-fast` for codes of some width, `hf` for a method without one. A bare weight file has no
 * architecture to make a graph from.
 */
function defaultFormat(model: string, method: MethodDescription): OutputFormat {
  if (!method.parameters.some(({ key }) => key === 'bits')) return 'hf';
  return editorFor(model) !== undefined && model.toLowerCase().endsWith('.safetensors') ? 'hf' : 'onnx-fast';
}

/** A folder beside the model that is not there yet; results of the bundled sample go into the workspace. */
function freeFolder(draft: Draft): string {
  const bits = draft.values['bits'];
  const suffix = [draft.method.id, ...(bits === undefined ? [] : [`${valueText(bits)}bit`]), draft.format].join('-');
  const inWorkspace = vscode.workspace.getWorkspaceFolder(vscode.Uri.file(draft.model)) !== undefined;
  const first = vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === 'file')?.uri.fsPath;
  const proposal = proposeOutput(draft.model, suffix, inWorkspace ? undefined : (first ?? dirname(draft.model)));
  for (let count = 1; ; count += 1) {
    const path = count === 1 ? proposal : `${proposal}-${count}`;
    if (!existsSync(path)) return path;
  }
}

import { resolve } from 'node:path';
import { isPinnedWidth } from '../../common/allocation/types';
import { suggestion } from '../../common/nearest';
import { describeAllowed, parseParam } from '../../common/params';
import { parseBytes } from '../../common/units';
import type { Field, FieldType } from '../../protocol/fields';
import { isTextData } from '../../protocol/learnDefaults';
import type { MethodDescription } from '../../protocol/methods';
import type { RecipeNode, Span } from './recipeTree';

/** What reading a value may look at, and where it reports. */
export interface FieldContext {
  /** Absolute folder of the recipe. */
  readonly folder: string;
  /** Methods that the step may name. */
  readonly methods: readonly MethodDescription[];
  /** Method of the step being read: named or the kind's own choice. Undefined if it is wrong. */
  readonly method: MethodDescription | undefined;
  /** Names of inputs to absolute paths. */
  readonly inputs: ReadonlyMap<string, string>;
  /** Names of earlier steps that write models to the absolute folders that they write. */
  readonly outputs: ReadonlyMap<string, string>;
  /** Names of earlier steps that write a file to its absolute path. */
  readonly files: ReadonlyMap<string, string>;
  /** Names of all earlier steps to their kinds. */
  readonly stepNames: ReadonlyMap<string, string>;
  /** Whether the mapping that is being read has a key. */
  readonly has?: (key: string) => boolean;
  readonly report: (span: Span, message: string) => void;
  /** Notes a path that must exist when the recipe starts. */
  readonly need: (path: string, written: string, span: Span) => void;
}

/** Reads one value by its field's type. Undefined if it is wrong, which has been reported then. */
export function readField(field: Field, node: RecipeNode, context: FieldContext): unknown {
  const { type, key } = field;
  switch (type.kind) {
    case 'value': {
      const value = node.type === 'scalar' ? parseParam(type.spec, node.value) : undefined;
      if (value === undefined) {
        const hint = type.spec.kind === 'choice' && node.type === 'scalar' ? suggestion(String(node.value), type.spec.choices) : '';
        context.report(node.span, `${key} must be ${describeAllowed(type.spec)}, got ${shown(node)}.${hint}`);
      }
      return value;
    }
    case 'size': {
      const bytes = node.type === 'scalar' ? parseBytes(String(node.value)) : undefined;
      if (bytes === undefined) context.report(node.span, `${key} must be a size such as 3GB or 512MiB, got ${shown(node)}.`);
      return bytes;
    }
    case 'method':
      return readMethod(node, context);
    case 'parameters':
      return readParameters(node, context, false);
    case 'overrides':
      return readOverrides(node, context, type.pinnedBeside !== undefined && context.has?.(type.pinnedBeside) === true);
    case 'columns':
      return readColumns(node, context);
    case 'texts':
      return readTexts(key, type.choices, node, context);
    default: {
      const text = node.type === 'scalar' && node.value !== undefined ? String(node.value) : '';
      if (text === '') {
        context.report(node.span, `${key} must be ${type.kind === 'text' ? 'text' : 'a path'}, got ${shown(node)}.`);
        return undefined;
      }
      if (type.kind === 'text') return text;
      return type.kind === 'output' ? resolve(context.folder, text) : readReference(text, type, node.span, context);
    }
  }
}

/** A value for a message: short, on one line. */
function shown(node: RecipeNode): string {
  if (node.type !== 'scalar') return node.type === 'map' ? 'a mapping' : 'a list';
  if (node.value === undefined) return 'nothing';
  const text = JSON.stringify(node.value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** A model, a file, one of a field's own words, or a mixture of texts with their shares. */
function readReference(
  text: string,
  type: FieldType & { readonly kind: 'model' | 'file' },
  span: Span,
  context: FieldContext,
): string | undefined {
  if (type.kind === 'model') return resolveReference(text, 'model', span, context);
  if (type.words?.includes(text)) return text;
  if (type.mixed !== true || !isTextData(text)) return resolveReference(text, 'file', span, context);
  const parts = text.split(',').map((part) => {
    const [, path = '', share = ''] = /^(.*?)(:[\d.]+)?$/.exec(part.trim()) ?? [];
    const resolved = resolveReference(path, 'file', span, context);
    return resolved === undefined ? undefined : `${resolved}${share}`;
  });
  return parts.every((part) => part !== undefined) ? parts.join(',') : undefined;
}

function resolveReference(written: string, kind: 'model' | 'file', span: Span, context: FieldContext): string | undefined {
  const output = context.outputs.get(written);
  if (output !== undefined) {
    if (kind === 'model') return output;
    context.report(span, `'${written}' is a step that writes a model, but a file or folder of data is required here.`);
    return undefined;
  }
  const file = kind === 'file' ? context.files.get(written) : undefined;
  if (file !== undefined) return file;
  const stepKind = context.stepNames.get(written);
  if (stepKind !== undefined) {
    context.report(span, `Step '${written}' (${stepKind}) does not write a model. Name a step that does, an input or a path.`);
    return undefined;
  }
  const input = context.inputs.get(written);
  if (input !== undefined) return input;
  const path = resolve(context.folder, written);
  context.need(path, written, span);
  return path;
}

function readMethod(node: RecipeNode, context: FieldContext): string | undefined {
  const id = node.type === 'scalar' && typeof node.value === 'string' ? node.value : undefined;
  if (context.methods.some((method) => method.id === id)) return id;
  const ids = context.methods.map((method) => method.id);
  context.report(node.span, `Unknown method ${shown(node)}. Methods: ${ids.join(', ')}.${id === undefined ? '' : suggestion(id, ids)}`);
  return undefined;
}

/** Parameters by key, checked against the step's method; unchecked where the method itself is wrong. */
function readParameters(node: RecipeNode, context: FieldContext, pins: boolean): Readonly<Record<string, unknown>> | undefined {
  if (node.type === 'scalar' && node.value === undefined) return {};
  if (node.type !== 'map') {
    context.report(node.span, `parameters must be a mapping, got ${shown(node)}.`);
    return undefined;
  }
  const { method } = context;
  if (!method) return {};
  const values: Record<string, unknown> = {};
  const keys = method.parameters.map(({ key }) => key);
  for (const { key, keySpan, value } of node.entries) {
    const spec = method.parameters.find((parameter) => parameter.key === key);
    if (!spec) {
      const hint = suggestion(key, keys);
      context.report(keySpan, `Method '${method.id}' has no parameter '${key.slice(0, 60)}'.${hint || ` Parameters: ${keys.join(', ')}.`}`);
      continue;
    }
    const raw = value.type === 'scalar' ? value.value : undefined;
    const parsed = pins && key === 'bits' && isPinnedWidth(raw) ? raw : raw === undefined ? undefined : parseParam(spec, raw);
    if (parsed === undefined) context.report(value.span, `${key} must be ${describeAllowed(spec)}, got ${shown(value)}.`);
    else values[key] = parsed;
  }
  return values;
}

/** A list of texts; a single text is a list of one. */
function readTexts(key: string, choices: readonly string[] | undefined, node: RecipeNode, context: FieldContext): readonly string[] {
  const items = node.type === 'list' ? node.items : [node];
  return items.flatMap((item) => {
    const text = item.type === 'scalar' && item.value !== undefined ? String(item.value) : '';
    if (text !== '' && (choices?.includes(text) ?? true)) return [text];
    const hint = choices && text !== '' ? suggestion(text, choices) : '';
    context.report(item.span, `${key} must be a list of ${choices ? choices.join(', ') : 'texts'}, got ${shown(item)}.${hint}`);
    return [];
  });
}

function readColumns(node: RecipeNode, context: FieldContext): Readonly<Record<string, string>> | undefined {
  if (node.type !== 'map') {
    context.report(node.span, `columns must be a mapping of input names to column names, got ${shown(node)}.`);
    return undefined;
  }
  const named = node.entries.flatMap(({ key, value }) => {
    const column = value.type === 'scalar' && value.value !== undefined ? String(value.value) : '';
    if (column === '') context.report(value.span, `columns.${key.slice(0, 60)} must be the name of a column, got ${shown(value)}.`);
    return column === '' ? [] : [[key, column] as const];
  });
  return Object.fromEntries(named);
}

function readOverrides(
  node: RecipeNode,
  context: FieldContext,
  pins: boolean,
): readonly { glob: string; parameters: Readonly<Record<string, unknown>> }[] | undefined {
  if (node.type !== 'list') {
    context.report(node.span, `overrides must be a list of { glob, parameters }, got ${shown(node)}.`);
    return undefined;
  }
  return node.items.flatMap((item) => {
    if (item.type !== 'map') {
      context.report(item.span, `An override is a mapping with glob and parameters, got ${shown(item)}.`);
      return [];
    }
    for (const { key, keySpan } of item.entries)
      if (key !== 'glob' && key !== 'parameters')
        context.report(
          keySpan,
          `An override has no key '${key.slice(0, 60)}'.${suggestion(key, ['glob', 'parameters']) || ' Keys: glob, parameters.'}`,
        );
    const glob = item.entries.find(({ key }) => key === 'glob')?.value;
    const parameters = item.entries.find(({ key }) => key === 'parameters')?.value;
    if (glob?.type !== 'scalar' || typeof glob.value !== 'string' || glob.value === '') {
      context.report(glob?.span ?? item.span, "An override needs glob, a pattern of tensor names such as '*.down_proj.weight'.");
      return [];
    }
    if (!parameters) {
      context.report(item.span, 'An override needs parameters, those that differ for these tensors.');
      return [];
    }
    const values = readParameters(parameters, context, pins);
    return values ? [{ glob: glob.value, parameters: values }] : [];
  });
}

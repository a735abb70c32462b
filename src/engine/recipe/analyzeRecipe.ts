import { dirname, resolve } from 'node:path';
import { suggestion } from '../../common/nearest';
import type { RecipeDiagnostic } from '../../protocol/engine';
import type { CompareSpec, CompressSpec, EvaluateSpec, InspectSpec, LearnSpec, SharedJobOptions } from '../../protocol/jobs';
import { completeLearnSpec, learnDefaults } from '../../protocol/learnDefaults';
import type { MethodDescription } from '../../protocol/methods';
import { defaultFormat } from './defaultFormat';
import { settingFields, stepFields, stepKinds, topLevelKeys } from './fields';
import type { Field, StepKind } from './fields';
import { readField } from './readField';
import type { FieldContext } from './readField';
import { parseRecipeTree } from './recipeTree';
import type { RecipeEntry, RecipeNode, Span } from './recipeTree';

/** What a step asks the engine to do. */
export type StepSpec = InspectSpec | CompressSpec | LearnSpec | EvaluateSpec | CompareSpec;

/** A step that can run: paths are absolute, names are resolved. */
export interface PlannedStep {
  readonly name: string;
  readonly spec: StepSpec;
}

/** A path that must be there before the recipe runs. */
export interface NeededPath {
  readonly path: string;
  /** As written. */
  readonly written: string;
  readonly diagnosticFor: (message: string) => RecipeDiagnostic;
}

/** All that can be said about a recipe from its text alone. */
export interface RecipeAnalysis {
  readonly title: string | undefined;
  readonly settings: SharedJobOptions;
  /** Steps that are sound; complete only where no diagnostic is an error. */
  readonly steps: readonly PlannedStep[];
  readonly needed: readonly NeededPath[];
  readonly diagnostics: readonly RecipeDiagnostic[];
}

/** The names that a recipe has brought up so far, while it is being read. */
interface RecipeState extends FieldContext {
  readonly inputs: Map<string, string>;
  readonly outputs: Map<string, string>;
  readonly stepNames: Map<string, string>;
}

const namePattern = /^[A-Za-z0-9_][\w.-]{0,63}$/;

/** Reads a recipe's text. `file` is its path, which relative paths start from; nothing is opened. */
export function analyzeRecipe(file: string, text: string, methods: readonly MethodDescription[]): RecipeAnalysis {
  const tree = parseRecipeTree(text);
  const diagnostics: RecipeDiagnostic[] = [...tree.diagnostics];
  const diagnosticFor = (span: Span, message: string): RecipeDiagnostic => ({
    start: tree.locate(span.start),
    end: tree.locate(span.end),
    severity: 'error',
    message,
  });
  const report = (span: Span, message: string) => void diagnostics.push(diagnosticFor(span, message));
  const needed: NeededPath[] = [];
  const steps: PlannedStep[] = [];
  const inputs = new Map<string, string>();
  const outputs = new Map<string, string>();
  const names = new Map<string, string>();
  const context: RecipeState = {
    folder: dirname(resolve(file)),
    methods,
    inputs,
    outputs,
    stepNames: names,
    report,
    need: (path, written, span) => void needed.push({ path, written, diagnosticFor: (message) => diagnosticFor(span, message) }),
  };
  const empty: RecipeAnalysis = { title: undefined, settings: {}, steps, needed, diagnostics };
  const { root } = tree;
  if (!root || (root.type === 'scalar' && root.value === undefined)) {
    if (diagnostics.length === 0) report({ start: 0, end: 0 }, 'The recipe is empty. It needs at least: steps.');
    return empty;
  }
  if (root.type !== 'map') {
    report(root.span, 'A recipe is a mapping with the keys inputs, settings and steps.');
    return empty;
  }
  const top = entriesByKey(root.entries, topLevelKeys, 'A recipe', report);
  const title = top.get('name')?.value;
  if (title && (title.type !== 'scalar' || typeof title.value !== 'string')) report(title.span, 'name must be text.');
  readInputs(top.get('inputs')?.value, context);
  const settings = readFields(top.get('settings')?.value, settingFields, 'settings', context);
  const list = top.get('steps')?.value;
  if (!list) report({ start: root.span.start, end: root.span.start }, 'The recipe has no steps. Add the key steps with a list.');
  else if (list.type !== 'list' || list.items.length === 0) report(list.span, 'steps must be a list with at least one step.');
  else list.items.forEach((item, index) => readStep(item, index, context, steps));
  return {
    title: title?.type === 'scalar' && typeof title.value === 'string' ? title.value : undefined,
    settings: settings as SharedJobOptions,
    steps,
    needed,
    diagnostics,
  };
}

type Report = FieldContext['report'];

/** Entries by key; unknown keys are reported with what was likely meant. */
function entriesByKey(
  entries: readonly RecipeEntry[],
  known: readonly { readonly key: string }[],
  owner: string,
  report: Report,
): ReadonlyMap<string, RecipeEntry> {
  const keys = known.map(({ key }) => key);
  for (const { key, keySpan } of entries)
    if (!keys.includes(key)) {
      const hint = suggestion(key, keys);
      report(keySpan, `${owner} has no key '${key.slice(0, 60)}'.${hint || ` Keys: ${keys.join(', ')}.`}`);
    }
  return new Map(entries.map((entry) => [entry.key, entry]));
}

/** `inputs`: names to paths that must exist. */
function readInputs(node: RecipeNode | undefined, context: RecipeState): void {
  if (!node || (node.type === 'scalar' && node.value === undefined)) return;
  if (node.type !== 'map') return context.report(node.span, 'inputs must be a mapping of names to paths.');
  for (const { key, keySpan, value } of node.entries) {
    if (!namePattern.test(key)) context.report(keySpan, `'${key.slice(0, 60)}' is no name: use letters, digits, dot, dash and underscore.`);
    if (value.type !== 'scalar' || typeof value.value !== 'string' || value.value === '') {
      context.report(value.span, `inputs.${key.slice(0, 60)} must be a path.`);
      continue;
    }
    const path = resolve(context.folder, value.value);
    context.need(path, value.value, value.span);
    context.inputs.set(key, path);
  }
}

function readFields(node: RecipeNode | undefined, fields: readonly Field[], owner: string, context: FieldContext): Record<string, unknown> {
  if (!node || (node.type === 'scalar' && node.value === undefined)) return {};
  if (node.type !== 'map') {
    context.report(node.span, `${owner} must be a mapping.`);
    return {};
  }
  const entries = entriesByKey(node.entries, fields, owner, context.report);
  const method = entries.get('method')?.value;
  const methodType = fields.find(({ key }) => key === 'method')?.type;
  const fallback = methodType?.kind === 'method' ? methodType.default : undefined;
  const methodId = method ? (method.type === 'scalar' && typeof method.value === 'string' ? method.value : undefined) : fallback;
  const values: Record<string, unknown> = {};
  for (const field of fields) {
    const entry = entries.get(field.key);
    if (!entry) continue;
    const value = readField(field, entry.value, { ...context, methodId, underBudget: entries.has('budget') });
    if (value !== undefined) values[field.key] = value;
  }
  return values;
}

function readStep(node: RecipeNode, index: number, context: RecipeState, steps: PlannedStep[]): void {
  const { report } = context;
  if (node.type !== 'map') return report(node.span, "A step is a mapping with the key kind, such as 'kind: compress'.");
  const entry = (key: string) => node.entries.find((candidate) => candidate.key === key);
  const start = { start: node.span.start, end: node.entries[0]?.keySpan.end ?? node.span.end };
  const kindNode = entry('kind')?.value;
  if (!kindNode) return report(start, `The step has no kind. Kinds: ${stepKinds.map(({ kind }) => kind).join(', ')}.`);
  const word = kindNode.type === 'scalar' ? kindNode.value : undefined;
  const kind = stepKinds.find((candidate) => candidate.kind === word);
  if (!kind) {
    const kinds = stepKinds.map((candidate) => candidate.kind);
    return report(kindNode.span, `kind must be one of ${kinds.join(', ')}.${typeof word === 'string' ? suggestion(word, kinds) : ''}`);
  }
  const before = steps.length;
  const name = readName(entry('name')?.value, `${kind.kind}-${index + 1}`, context);
  const methods = context.methods.filter(({ family }) => family === kind.methods);
  const values = readFields(node, [...stepFields, ...kind.fields], `A step of kind ${kind.kind}`, { ...context, methods });
  const missing = kind.fields.filter((field) => field.required && !entry(field.key));
  for (const field of missing) report(start, `The step needs ${field.key}: ${field.doc}`);
  checkTogether(kind, node.entries, start, report);
  const { name: _name, ...rest } = values;
  const spec = { ...rest, kind: kind.kind, ...(kind.kind === 'compress' ? compressDefaults(rest, context) : {}) };
  const filled = kind.kind === 'learn' ? learnStepOf(spec, methods) : spec;
  const complete = kind.fields.every((field) => !field.required || field.key in spec);
  if (complete) steps.push({ name, spec: filled as unknown as StepSpec });
  context.stepNames.set(name, kind.kind);
  const out = kind.writesModel ? values['out'] : undefined;
  if (typeof out === 'string') registerOutput(name, out, entry('out')?.value.span ?? start, context, before);
}

/** A compression's specification is complete: parameters and format stand in it even where the recipe leaves them out. */
function compressDefaults(
  values: Readonly<Record<string, unknown>>,
  context: FieldContext,
): Pick<CompressSpec, 'method' | 'parameters' | 'format'> {
  const given = values as Partial<CompressSpec>;
  const id = given.method ?? 'rtn';
  const method = context.methods.find((candidate) => candidate.id === id);
  const parameters = given.parameters ?? {};
  return {
    method: id,
    parameters,
    format:
      given.format ?? defaultFormat(given.model ?? '', method?.parameters ?? [], parameters, given.overrides ?? [], given.budget).format,
  };
}

/** Defaults of a learning step: the same as those of the command. */
function learnStepOf(values: Readonly<Record<string, unknown>>, methods: readonly MethodDescription[]): Readonly<Record<string, unknown>> {
  const given = values as Partial<LearnSpec>;
  if (given.model === undefined || given.data === undefined || given.out === undefined) return values;
  const method = methods.find(({ id }) => id === (given.method ?? learnDefaults.method));
  return { ...completeLearnSpec({ ...given, model: given.model, data: given.data, out: given.out }, method?.learnsWidths === true) };
}

function readName(node: RecipeNode | undefined, fallback: string, context: RecipeState): string {
  if (!node) return fallback;
  const name = node.type === 'scalar' && node.value !== undefined ? String(node.value) : '';
  if (!namePattern.test(name)) {
    context.report(node.span, 'name must be one word of letters, digits, dot, dash and underscore.');
    return fallback;
  }
  if (context.stepNames.has(name)) context.report(node.span, `There is an earlier step called '${name}'. Names must differ.`);
  if (context.inputs.has(name))
    context.report(node.span, `There is an input called '${name}'. Steps and inputs share their names; choose another.`);
  return name;
}

function registerOutput(name: string, out: string, span: Span, context: RecipeState, index: number): void {
  const { outputs } = context;
  const other = [...outputs].find(([, path]) => path === out);
  if (other) context.report(span, `Step '${other[0]}' writes the same folder. Every step needs a folder of its own.`);
  // The index keeps an entry for steps whose name is taken already, so that equal folders are still found.
  outputs.set(outputs.has(name) ? `${name} (${index + 1})` : name, out);
}

/** Rules between the keys of one step. */
function checkTogether(kind: StepKind, entries: readonly RecipeEntry[], start: Span, report: Report): void {
  const find = (key: string) => entries.find((entry) => entry.key === key);
  if (kind.kind === 'compress' && !find('budget')) {
    if (!find('method')) report(start, 'The step needs method or budget: how to compress, or the bits per weight to reach.');
    for (const { key, keySpan } of entries)
      if (['unit', 'sensitivity', 'calibration', 'measure'].includes(key))
        report(keySpan, `${key} belongs to budget, which the step does not have.`);
  }
  if (kind.kind === 'learn' && find('targetBits') && find('penalty'))
    report(find('penalty')?.keySpan ?? start, 'targetBits and penalty exclude each other. Give one of them.');
  if (kind.kind !== 'evaluate') return;
  const [text, data] = [find('text'), find('data')];
  if (!text && !data) return report(start, 'The step needs text or data: what to measure the model on.');
  if (text && data) return report(data.keySpan, 'text and data exclude each other. Give one of them.');
  for (const key of text ? ['split', 'columns', 'batch'] : ['window', 'limit']) {
    const entry = find(key);
    if (entry) report(entry.keySpan, `${key} belongs to ${text ? 'data' : 'text'}, but the step has ${text ? 'text' : 'data'}.`);
  }
}

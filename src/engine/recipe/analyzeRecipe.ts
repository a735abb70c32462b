import { dirname, resolve } from 'node:path';
import { suggestion } from '../../common/nearest';
import type { RecipeDiagnostic } from '../../protocol/engine';
import type { Field, FieldWords } from '../../protocol/fields';
import type { JobSpec, SharedJobOptions } from '../../protocol/jobs';
import { checkFields, methodOf, specOf } from '../jobs/stepKind';
import type { StepKind } from '../jobs/stepKind';
import { fieldsOf, settingFields, sharedFields, topLevelKeys } from './fields';
import { OutputFolders } from './outputFolders';
import { readField } from './readField';
import type { FieldContext } from './readField';
import { parseRecipeTree } from './recipeTree';
import type { RecipeEntry, RecipeNode, Span } from './recipeTree';

/** A step that can run: paths are absolute, names are resolved. */
export interface PlannedStep {
  readonly name: string;
  readonly kind: StepKind;
  readonly spec: JobSpec;
}

/** A path that must be there before the recipe runs. */
export interface NeededPath {
  readonly path: string;
  /** As written. */
  readonly written: string;
  readonly diagnosticFor: (message: string) => RecipeDiagnostic;
}

/** Everything that a recipe's text alone determines. */
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
  readonly kinds: readonly StepKind[];
  readonly inputs: Map<string, string>;
  readonly outputs: Map<string, string>;
  readonly files: Map<string, string>;
  readonly outputFolders: OutputFolders;
  readonly stepNames: Map<string, string>;
}

const namePattern = /^[A-Za-z0-9_][\w.-]{0,63}$/;

/** Reads a recipe's text. `file` is its path, which relative paths start from; nothing is opened. */
export function analyzeRecipe(file: string, text: string, kinds: readonly StepKind[]): RecipeAnalysis {
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
    kinds,
    methods: [],
    method: undefined,
    inputs,
    outputs,
    files: new Map(),
    outputFolders: new OutputFolders(),
    stepNames: names,
    report,
    need: (path, written, span) => void needed.push({ path, written, diagnosticFor: (message) => diagnosticFor(span, message) }),
  };
  const empty: RecipeAnalysis = { title: undefined, settings: {}, steps, needed, diagnostics };
  const { root } = tree;
  if (!root || (root.type === 'scalar' && root.value === undefined)) {
    if (diagnostics.length === 0) report({ start: 0, end: 0 }, 'The recipe is empty. It needs at least the key steps.');
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
    if (!namePattern.test(key))
      context.report(keySpan, `'${key.slice(0, 60)}' is not a valid name: use letters, digits, dots, dashes and underscores.`);
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
  const values: Record<string, unknown> = {};
  for (const field of fields) {
    const entry = entries.get(field.key);
    if (!entry) continue;
    const value = readField(field, entry.value, { ...context, has: (key) => entries.has(key) });
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
  const ids = context.kinds.map(({ id }) => id);
  if (!kindNode) return report(start, `The step has no kind. Kinds: ${ids.join(', ')}.`);
  const word = kindNode.type === 'scalar' ? kindNode.value : undefined;
  const kind = context.kinds.find(({ id }) => id === word);
  if (!kind) return report(kindNode.span, `kind must be one of ${ids.join(', ')}.${typeof word === 'string' ? suggestion(word, ids) : ''}`);
  const before = steps.length;
  const name = readName(entry('name')?.value, `${kind.id}-${index + 1}`, context);
  const fields = fieldsOf(kind);
  const named = entry('method')?.value;
  const method = methodOf(kind, named ? { method: named.type === 'scalar' ? String(named.value) : '' } : {});
  const read = readFields(node, [...sharedFields(context.kinds), ...fields], `A step of kind ${kind.id}`, {
    ...context,
    methods: kind.methods?.() ?? [],
    method,
  });
  const { name: _name, kind: _kind, ...values } = read;
  const missing = fields.filter((field) => field.required && !entry(field.key));
  for (const field of missing) report(start, `The step needs ${field.key}: ${field.doc}`);
  for (const { key, message } of checkFields(kind, values, recipeWords, (each) => entry(each) !== undefined))
    report((key === undefined ? undefined : entry(key)?.keySpan) ?? start, message);
  const complete = fields.every((field) => !field.required || field.key in values);
  if (complete) steps.push({ name, kind, spec: specOf(kind, values, { words: recipeWords, say: () => undefined }) });
  context.stepNames.set(name, kind.id);
  for (const { key, type } of fields) {
    const out = type.kind === 'output' ? values[key] : undefined;
    if (type.kind !== 'output' || typeof out !== 'string') continue;
    const span = entry(key)?.value.span ?? start;
    if (kind.writesModel === true) registerOutput(name, out, span, context, before);
    else if (type.file !== undefined) registerFile(name, out, span, context);
  }
}

/** Names of a step's keys in findings. */
const recipeWords: FieldWords = {
  name: (key) => key,
  lacks: (keys, what) => `The step needs ${keys.join(' or ')}: ${what}`,
  absent: 'which the step does not have',
  present: (key) => `but the step has ${key}`,
};

function readName(node: RecipeNode | undefined, fallback: string, context: RecipeState): string {
  if (!node) return fallback;
  const name = node.type === 'scalar' && node.value !== undefined ? String(node.value) : '';
  if (!namePattern.test(name)) {
    context.report(node.span, 'name must be one word of letters, digits, dots, dashes and underscores.');
    return fallback;
  }
  if (context.stepNames.has(name)) context.report(node.span, `An earlier step is also named '${name}'. Step names must be unique.`);
  if (context.inputs.has(name))
    context.report(node.span, `An input is also named '${name}'. Steps and inputs must have different names; choose another.`);
  return name;
}

/** A file that later steps may read by the name of its step. */
function registerFile(name: string, out: string, span: Span, context: RecipeState): void {
  const overlap = context.outputFolders.claim(name, out);
  if (overlap !== undefined) context.report(span, overlap);
  if (!context.files.has(name)) context.files.set(name, out);
}

function registerOutput(name: string, out: string, span: Span, context: RecipeState, index: number): void {
  const { outputs } = context;
  const overlap = context.outputFolders.claim(name, out);
  if (overlap !== undefined) context.report(span, overlap);
  // The index keeps an entry for steps whose name is taken already.
  outputs.set(outputs.has(name) ? `${name} (${index + 1})` : name, out);
}

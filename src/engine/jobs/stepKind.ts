import { brokenRules } from '../../protocol/fieldRules';
import { LoomweightError } from '../../protocol/errors';
import type { Field, FieldProblem, FieldRule, FieldWords } from '../../protocol/fields';
import type { JobSpec } from '../../protocol/jobs';
import { chosenMethod } from '../../protocol/kinds';
import type { JobDescription, StepKindDescription } from '../../protocol/kinds';
import type { MethodDescription } from '../../protocol/methods';
import type { ReportPageView } from '../../protocol/panels/reportPage';
import type { JobReport } from '../../protocol/report';
import type { EstimateContext, JobEstimate } from '../runtime/estimate';
import type { TaskContext, WorkContext } from '../runtime/workContext';

/** Values of a step's fields by key, as a recipe or the command line gives them; paths are absolute. */
export type FieldValues = Readonly<Record<string, unknown>>;

/** The command of a kind. Its arguments and flags come from the fields. */
export interface CommandWords {
  /** Where it is not the kind's id. */
  readonly name?: string;
  /** One sentence. */
  readonly summary: string;
  /** More sentences for the command's own help. */
  readonly details?: readonly string[];
  /** Examples for the help; each line works as written. */
  readonly examples: readonly string[];
  /** Its result is a text: stdout gets the text of its progress as it comes, instead of the report in words. */
  readonly streams?: true;
}

/** What filling in defaults may use. */
export interface CompletionContext {
  readonly words: FieldWords;
  /** Describes what was chosen by default. */
  say(text: string): void;
}

/** How a report is shown on a terminal. */
export interface TextOptions {
  /** Every row of long tables. */
  readonly verbose: boolean;
  /** Folder that was written, where the reader does not know it. */
  readonly out?: string;
}

/** Everything that a kind of step answers for, apart from the work itself. */
interface StepKindParts<Spec extends JobSpec, Report extends JobReport> {
  /** `kind` in recipes, specifications and reports. Stable for ever. */
  readonly id: string;
  /** As people call it: `Learn bits`. */
  readonly label: string;
  /** What it does, in one or two sentences, for recipes and forms. */
  readonly summary: string;
  /** Absent if it is only a step of recipes. */
  readonly command?: CommandWords;
  /** Writes a model: later steps may name the step as theirs. */
  readonly writesModel?: true;
  /** Keys of the specification, in the order of help and forms. */
  readonly fields: readonly Field[];
  /** What must hold between them. */
  readonly rules?: readonly FieldRule[];
  /** What `method` may name. */
  methods?(): readonly MethodDescription[];
  /** Checks beyond the rules. Looks at values only and opens no files. */
  check?(values: FieldValues, words: FieldWords): readonly FieldProblem[];
  /** The specification with defaults filled in. Without it, the values are the specification. */
  complete?(values: FieldValues, context: CompletionContext): Omit<Spec, 'kind'>;

  /** What the outcome depends on, absolute: `resume` runs the step again where one of them has changed. */
  inputs(spec: Spec): readonly string[];
  /** What it writes, absolute: the step is complete while they are as it left them. Also for clean-up after a crash and for the free disk. */
  outputs(spec: Spec): readonly string[];
  describe(spec: Spec): JobDescription;

  /**
   * What it will need. Opens headers only, and refuses what they show to be impossible: `invalid-argument`, `unsupported`, `malformed-file`,
   * `insufficient-memory`.
   */
  forecast(spec: Spec, context: EstimateContext): Promise<JobEstimate>;

  /** The report in a few words: `5 bits · 2.00 MiB`. */
  outcome(report: Report): string;
  /** What the user must not overlook although the job is done: shown at once, whatever else is shown. */
  warning?(report: Report): string | undefined;
  /** The report for a terminal: tables and pairs of names and values. */
  text(report: Report, options: TextOptions): string;
  /** The report as a document. The specification is absent for a step of a recipe, whose report does not keep it. */
  page(report: Report, spec: Spec | undefined): ReportPageView;
}

/** A kind that only reads and writes bytes: ONNX Runtime is not loaded for it. */
export interface ReadingKind<Spec extends JobSpec, Report extends JobReport> extends StepKindParts<Spec, Report> {
  readonly computes: false;
  run(spec: Spec, context: TaskContext): Promise<Report>;
}

/** A kind that computes in the runtime. */
export interface ComputingKind<Spec extends JobSpec, Report extends JobReport> extends StepKindParts<Spec, Report> {
  readonly computes: true;
  run(spec: Spec, context: WorkContext): Promise<Report>;
}

/**
 * A kind of step: everything that recipes, command line, editor and the runner of jobs ask about it. To add a kind: a file like compare.ts with one of these,
 * and its line in index.ts. `forecast` and `run` load what they work with by `import()`: help, recipes and titles need none of it.
 */
export type StepKind<Spec extends JobSpec = JobSpec, Report extends JobReport = JobReport> =
  ReadingKind<Spec, Report> | ComputingKind<Spec, Report>;

/** The kind with an id. Errors: `invalid-argument`. */
export function findKind(kinds: readonly StepKind[], id: string): StepKind {
  const found = kinds.find((kind) => kind.id === id);
  if (found) return found;
  throw new LoomweightError('invalid-argument', `Unknown kind of job '${id}'. Kinds: ${kinds.map((kind) => kind.id).join(', ')}.`, {
    kind: id,
  });
}

/** The method that values name, or the kind's own choice where they name none. Undefined for kinds without methods and for unknown ones. */
export function methodOf(kind: StepKind, values: FieldValues): MethodDescription | undefined {
  return chosenMethod(kind.fields, kind.methods?.() ?? [], values);
}

/** Violations of the rules between a step's fields. `has` tells which fields are present, valid or not. */
export function checkFields(
  kind: StepKind,
  values: FieldValues,
  words: FieldWords,
  has: (key: string) => boolean = (key) => values[key] !== undefined,
): readonly FieldProblem[] {
  return [...brokenRules(kind.rules ?? [], has, words, methodOf(kind, values)), ...(kind.check?.(values, words) ?? [])];
}

/** The specification of a step whose fields have been checked. */
export function specOf(kind: StepKind, values: FieldValues, context: CompletionContext): JobSpec {
  return { ...(kind.complete?.(values, context) ?? values), kind: kind.id };
}

/** A kind as plain data. */
export function describeKind(kind: StepKind): StepKindDescription {
  const { id, label, summary, fields, rules = [], writesModel = false } = kind;
  return { id, label, summary, fields, rules, methods: kind.methods?.() ?? [], writesModel };
}

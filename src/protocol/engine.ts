import type { DevicesReport } from './devices';
import type { FieldProblem } from './fields';
import type { Forecast, JobProgress, JobSpec } from './jobs';
import type { JobDescription, ReportView, StepForm, StepKindDescription } from './kinds';
import type { MethodDescription } from './methods';
import type { Diagnostic, ModelSummary, TensorPicture, TensorStatistics } from './model';
import type { JobReport } from './report';

/** First message in both directions: a difference in protocol ends the connection with a clear error. */
export interface Handshake {
  readonly protocol: number;
  readonly engine: string;
  readonly pid: number;
}

/** A place in a recipe file: zero-based line and character, as editors count. */
export interface RecipePosition {
  readonly line: number;
  readonly character: number;
}

/** A finding in a recipe file. */
export interface RecipeDiagnostic {
  readonly start: RecipePosition;
  readonly end: RecipePosition;
  readonly severity: 'error' | 'warning';
  readonly message: string;
}

/** A completion in a recipe file. */
export interface RecipeCompletion {
  readonly label: string;
  readonly detail: string;
  readonly insertText: string;
}

/** A model found by walking a folder; cheap: only names, sizes and headers. */
export interface FoundModel {
  readonly path: string;
  readonly name: string;
  readonly format: ModelSummary['format'];
  readonly bytes: number;
}

/**
 * Everything an engine process answers. Every method takes one plain object and gives a promise; each may be aborted.
 * The same class answers in the process of the command line.
 */
export interface EngineApi {
  handshake(request: { readonly protocol: number }): Promise<Handshake>;
  /** Models under a folder, without opening weights. */
  findModels(request: { readonly folder: string }): Promise<readonly FoundModel[]>;
  /** Reads headers only. `limited` (untrusted workspaces) never follows a path or a link out of the folder of the model, or of the one of `within` that it is in. */
  inspect(request: { readonly model: string; readonly limited?: boolean; readonly within?: readonly string[] }): Promise<ModelSummary>;
  statistics(request: { readonly model: string; readonly tensor: string; readonly bins?: number }): Promise<TensorStatistics>;
  picture(request: {
    readonly model: string;
    readonly tensor: string;
    readonly region?: { readonly row: number; readonly column: number; readonly rows: number; readonly columns: number };
    readonly width: number;
    readonly height: number;
  }): Promise<TensorPicture>;
  methods(request: Record<string, never>): Promise<readonly MethodDescription[]>;
  /** Kinds of steps with their fields. */
  kinds(request: Record<string, never>): Promise<readonly StepKindDescription[]>;
  /** The job of a completed form, with defaults, or the form's problems. */
  completeStep(request: StepForm): Promise<{ readonly problems: readonly FieldProblem[]; readonly spec?: JobSpec }>;
  /** What a job is called and what may be done with it. Errors: `invalid-argument` for a kind that there is not. */
  describeJob(request: { readonly spec: JobSpec }): Promise<JobDescription>;
  /** What a finished job came to. Errors: as `describeJob`. */
  describeReport(request: { readonly spec: JobSpec; readonly report: JobReport }): Promise<ReportView>;
  devices(request: { readonly runtimePath?: string }): Promise<DevicesReport>;
  forecast(request: { readonly spec: JobSpec }): Promise<Forecast>;
  /** Runs a job to its end. Progress arrives as `progress` events. */
  runJob(request: { readonly spec: JobSpec }): Promise<JobReport>;
  checkRecipe(request: { readonly file: string; readonly text: string }): Promise<readonly RecipeDiagnostic[]>;
  completeRecipe(request: {
    readonly file: string;
    readonly text: string;
    readonly position: RecipePosition;
  }): Promise<readonly RecipeCompletion[]>;
}

/** Events from the engine to the process that started it. */
export interface EngineEvents {
  progress: JobProgress;
  /** Before a job writes: an output to come, so that what is unfinished can be removed if the process dies. `OutputToCome`. */
  output: { readonly path: string; readonly firstMade?: string };
  /** `notice` is for everybody to see, `info` for those who ask for detail. */
  log: { readonly level: 'info' | 'notice' | 'warning' | 'error'; readonly message: string };
}

/** Names of the engine's methods, for both ends of the channel. */
export const engineMethods = [
  'handshake',
  'findModels',
  'inspect',
  'statistics',
  'picture',
  'methods',
  'kinds',
  'completeStep',
  'describeJob',
  'describeReport',
  'devices',
  'forecast',
  'runJob',
  'checkRecipe',
  'completeRecipe',
] as const satisfies readonly (keyof EngineApi)[];

/** Result of a file reader that can continue: the value and its diagnostics. */
export interface Parsed<T> {
  readonly value: T;
  readonly diagnostics: readonly Diagnostic[];
}

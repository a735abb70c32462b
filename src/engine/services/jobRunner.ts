import { LoomweightError } from '../../protocol/errors';
import { isRecipe } from '../../protocol/jobs';
import type { Forecast, JobSpec, RecipeSpec } from '../../protocol/jobs';
import type { JobDescription, ReportView } from '../../protocol/kinds';
import type { JobReport, RecipeReport, RunEnvironment } from '../../protocol/report';
import { refuseLinks } from '../formats/files/refuseLinks';
import { removeStaleFolders } from '../formats/files/temporaryFolder';
import { stepKinds } from '../jobs/index';
import { findKind } from '../jobs/stepKind';
import type { StepKind } from '../jobs/stepKind';
import { planRecipe } from '../recipe/checkRecipe';
import { continueStep } from '../recipe/continueStep';
import { describeRecipe, recipeView } from '../recipe/recipeReport';
import { runRecipe } from '../recipe/runRecipe';
import { findNvidiaCard } from '../runtime/cudaChecks';
import { processBytes } from '../runtime/estimate';
import type { EstimateContext, JobEstimate } from '../runtime/estimate';
import { thisMachine } from '../runtime/machine';
import { announceComputing } from '../runtime/neighbours';
import { chooseThreads } from '../runtime/threads';
import { withProgress } from '../runtime/workContext';
import type { TaskContext } from '../runtime/workContext';
import type { CallContext } from './callContext';
import { shareDisks } from './diskNeeds';
import type { DiskNeed } from './diskNeeds';
import { addEstimates, describeForecast, makeForecast, refuseShortfall } from './forecast';
import { diskOf, hostMemory, memoryLimitOf } from './freeSpace';
import { Journal, defaultStateFolder } from './journal';
import { aboutTheModel } from './modelErrors';
import { ProgressReporter } from './progressReporter';
import type { Runtimes } from './runtimes';

/** What a runner of jobs can be given; the defaults are those of the program. */
export interface JobRunnerOptions {
  readonly kinds?: readonly StepKind[];
  readonly journal?: Journal;
  readonly stateFolder?: string;
  /** Replaces the system's answer in tests. */
  readonly diskOf?: typeof diskOf;
}

/** What a job needs, and what it writes. */
interface Needs {
  readonly estimate: JobEstimate;
  readonly disk: readonly DiskNeed[];
}

/** Runs jobs in this process: forecast, journal, progress, the kind's own work. */
export class JobRunner {
  readonly kinds: readonly StepKind[];
  private readonly journal: Journal;
  private readonly stateFolder: string;
  private readonly diskOf: typeof diskOf;

  constructor(
    private readonly runtimes: Runtimes,
    options: JobRunnerOptions = {},
  ) {
    this.kinds = options.kinds ?? stepKinds;
    this.journal = options.journal ?? new Journal();
    this.stateFolder = options.stateFolder ?? defaultStateFolder();
    this.diskOf = options.diskOf ?? diskOf;
  }

  /** What a job is called and what may be done with it. Errors: `invalid-argument` for a kind that there is not. */
  describe(spec: JobSpec): JobDescription {
    return isRecipe(spec) ? describeRecipe(spec) : this.kindOf(spec).describe(spec);
  }

  /** What a job came to. Errors: as `describe`. */
  view(spec: JobSpec, report: JobReport): ReportView {
    if (isRecipe(spec)) return recipeView(report as RecipeReport, this.kinds);
    const kind = this.kindOf(spec);
    return { outcome: kind.outcome(report), page: kind.page(report, spec) };
  }

  /** What a job will need against what there is. Errors: those of the kind's forecast, `unsupported` for its provider. */
  async forecast(spec: JobSpec): Promise<Forecast> {
    if (!isRecipe(spec)) await refuseLinks(this.kindOf(spec).outputs(spec));
    const environment = await this.environmentOf(spec);
    const memory = await hostMemory();
    const memoryLimit = memoryLimitOf(spec.maxMemory, memory);
    const context = { provider: environment.provider, threads: environment.threads, memoryLimit };
    const { estimate, disk } = isRecipe(spec)
      ? await this.needsOfRecipe(spec, context)
      : await needsOfStep(this.kindOf(spec), spec, context);
    const card = environment.provider === 'cuda' ? findNvidiaCard(thisMachine()) : undefined;
    return makeForecast(environment.provider === 'cpu' ? estimate : withDeviceMemory(estimate), {
      memory,
      environment,
      ...(spec.maxMemory === undefined ? {} : { maxMemory: spec.maxMemory }),
      disks: await shareDisks(disk, this.diskOf),
      ...(card?.memoryFreeBytes === undefined ? {} : { deviceMemoryAvailableBytes: card.memoryFreeBytes }),
    });
  }

  /**
   * Runs a job to its end. Refused before the start where the forecast shows a shortfall. Errors: `insufficient-memory`,
   * `insufficient-disk`, `cancelled`, and those of the job itself.
   */
  async run(spec: JobSpec, context: CallContext): Promise<JobReport> {
    announceComputing();
    await this.journal.recover();
    removeStaleFolders();
    try {
      return await (isRecipe(spec) ? this.runRecipe(spec, context) : this.runStep(this.kindOf(spec), spec, context));
    } catch (error) {
      throw aboutTheModel(error);
    }
  }

  private kindOf(spec: JobSpec): StepKind {
    return findKind(this.kinds, spec.kind);
  }

  /** Where the job will run. A provider that was named is checked even where the job computes nothing: never silently ignored. */
  private async environmentOf(spec: JobSpec): Promise<Pick<RunEnvironment, 'provider' | 'providerReason' | 'threads'>> {
    const named = spec.provider !== undefined && spec.provider !== 'auto' && spec.provider !== 'cpu';
    if (named || isRecipe(spec) || this.kindOf(spec).computes) return (await this.runtimes.get(spec)).environment;
    return { provider: 'cpu', providerReason: 'This job only reads and compares bytes.', threads: chooseThreads(spec.threads) };
  }

  private async runStep(kind: StepKind, spec: JobSpec, context: CallContext, label = ''): Promise<JobReport> {
    const forecast = await this.forecast(spec);
    refuseShortfall(forecast);
    context.emit?.('log', { level: 'notice', message: describeForecast(forecast) });
    const entry = await this.journal.begin(spec, kind.outputs(spec));
    for (const output of entry.outputs) context.emit?.('output', output);
    const reporter = new ProgressReporter((progress) => context.emit?.('progress', progress));
    const task: TaskContext = {
      signal: context.signal,
      memoryLimit: memoryLimitOf(spec.maxMemory, await hostMemory()),
      seed: spec.seed ?? 0,
      progress: reporter.report,
      note: (message) => context.emit?.('log', { level: 'info', message }),
    };
    const labelled = label === '' ? task : withProgress(task, (step) => reporter.report({ ...step, phase: `${label}: ${step.phase}` }));
    try {
      const report = kind.computes
        ? await kind.run(spec, { ...labelled, runtime: await this.runtimes.get(spec) })
        : await kind.run(spec, labelled);
      await this.journal.end(entry);
      const warning = kind.warning?.(report);
      if (warning !== undefined) context.emit?.('log', { level: 'warning', message: warning });
      return report;
    } catch (error) {
      await this.journal.end(entry, error);
      throw error;
    } finally {
      await this.runtimes.releaseIdle();
      reporter.flush();
    }
  }

  private runRecipe(spec: RecipeSpec, context: CallContext): Promise<RecipeReport> {
    return runRecipe(spec, {
      kinds: this.kinds,
      runStep: ({ kind, name, spec: step }, { index, count }) =>
        this.runStep(kind, step, context, `Step ${index + 1} of ${count} (${name})`),
      log: (message) => context.emit?.('log', { level: 'info', message }),
      stateFolder: this.stateFolder,
      ...(context.signal ? { signal: context.signal } : {}),
    });
  }

  private async needsOfRecipe(spec: RecipeSpec, context: EstimateContext): Promise<Needs> {
    const recipe = await planRecipe(spec, this.kinds);
    const estimates: JobEstimate[] = [];
    const disk: DiskNeed[] = [];
    const unknown: string[] = [];
    for (const step of recipe.steps) {
      try {
        const needs = await needsOfStep(step.kind, continueStep(step, spec), context);
        estimates.push(needs.estimate);
        disk.push(...needs.disk);
      } catch (error) {
        // A step that works on what an earlier one writes cannot be estimated before that exists.
        if (!LoomweightError.is(error, 'not-found')) throw error;
        unknown.push(step.name);
      }
    }
    const sum = addEstimates(estimates);
    const note = `Not in the forecast, because they depend on the result of an earlier step: ${unknown.join(', ')}.`;
    return { estimate: unknown.length === 0 ? sum : { ...sum, notes: [...(sum.notes ?? []), note] }, disk };
  }
}

/** A kind that does not know its device memory is taken to need there what it holds on the host: weights and activations. */
function withDeviceMemory(estimate: JobEstimate): JobEstimate {
  if (estimate.deviceMemoryBytes !== undefined) return estimate;
  return {
    ...estimate,
    deviceMemoryBytes: Math.max(0, estimate.hostMemoryBytes - processBytes(0)),
    notes: [...(estimate.notes ?? []), 'GPU memory is forecast as the peak memory of the job on the host.'],
  };
}

async function needsOfStep(kind: StepKind, spec: JobSpec, context: EstimateContext): Promise<Needs> {
  const estimate = await kind.forecast(spec, context);
  return { estimate, disk: [{ outputs: kind.outputs(spec), bytes: estimate.diskBytes }] };
}

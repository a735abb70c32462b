import { LoomweightError } from '../../protocol/errors';
import type { Forecast, JobSpec, ReportOf } from '../../protocol/jobs';
import type { RunEnvironment, StepReport } from '../../protocol/report';
import { describeAllMethods } from './allMethods';
import { planRecipe } from '../recipe/checkRecipe';
import { runRecipe } from '../recipe/runRecipe';
import { findNvidiaCard } from '../runtime/cudaChecks';
import { thisMachine } from '../runtime/machine';
import { announceComputing } from '../runtime/neighbours';
import { chooseThreads } from '../runtime/threads';
import type { CallContext } from './callContext';
import type { JobEstimate } from '../jobs/estimate';
import { addEstimates, describeForecast, makeForecast, refuseShortfall } from './forecast';
import { freeDisk, hostMemory, memoryLimitOf } from './freeSpace';
import type { EstimateContext } from '../jobs/jobKind';
import { jobKindOf } from '../jobs/jobKinds';
import type { StepJobSpec } from '../jobs/jobKinds';
import { Journal, defaultStateFolder } from './journal';
import { ProgressReporter } from './progressReporter';
import type { Runtimes } from './runtimes';

/** Runs jobs in this process: forecast, journal, progress, the kind's own work. */
export class JobRunner {
  constructor(
    private readonly runtimes: Runtimes,
    private readonly journal: Journal = new Journal(),
    private readonly stateFolder: string = defaultStateFolder(),
  ) {}

  /** What a job will need against what there is. Errors: those of opening its inputs, `unsupported` for its provider. */
  async forecast(spec: JobSpec): Promise<Forecast> {
    const environment = await this.environmentOf(spec);
    const memory = await hostMemory();
    const memoryLimit = memoryLimitOf(spec.maxMemory, memory);
    const context = { provider: environment.provider, threads: environment.threads, memoryLimit };
    const { estimate, outputs } = spec.kind === 'recipe' ? await this.estimateRecipe(spec, context) : await estimateStep(spec, context);
    const output = outputs[0];
    const disk = output === undefined ? undefined : await freeDisk(output);
    const card = environment.provider === 'cuda' ? findNvidiaCard(thisMachine()) : undefined;
    return makeForecast(environment.provider === 'cpu' ? estimate : withDeviceMemory(estimate), {
      memory,
      environment,
      ...(spec.maxMemory === undefined ? {} : { maxMemory: spec.maxMemory }),
      ...(disk === undefined ? {} : { diskAvailableBytes: disk }),
      ...(card?.memoryFreeBytes === undefined ? {} : { deviceMemoryAvailableBytes: card.memoryFreeBytes }),
    });
  }

  /**
   * Runs a job to its end. Refused before the start where the forecast shows a shortfall. Errors: `insufficient-memory`,
   * `insufficient-disk`, `cancelled`, and those of the job itself.
   */
  async run<Spec extends JobSpec>(spec: Spec, context: CallContext): Promise<ReportOf<Spec>> {
    announceComputing();
    await this.journal.recover();
    if (spec.kind === 'recipe') return (await this.runRecipe(spec, context)) as ReportOf<Spec>;
    return (await this.runStep(spec, context)) as ReportOf<Spec>;
  }

  /** Where the job will run. A provider that was named is checked even where the job computes nothing: never silently ignored. */
  private async environmentOf(spec: JobSpec): Promise<Pick<RunEnvironment, 'provider' | 'providerReason' | 'threads'>> {
    const named = spec.provider !== undefined && spec.provider !== 'auto' && spec.provider !== 'cpu';
    if (named || spec.kind === 'recipe' || jobKindOf(spec).usesRuntime) return (await this.runtimes.get(spec)).environment;
    return { provider: 'cpu', providerReason: 'This job only reads and compares bytes.', threads: chooseThreads(spec.threads) };
  }

  private async runStep(spec: StepJobSpec, context: CallContext, label = ''): Promise<StepReport> {
    const kind = jobKindOf(spec);
    const forecast = await this.forecast(spec);
    refuseShortfall(forecast);
    context.emit?.('log', { level: 'notice', message: describeForecast(forecast) });
    const outputs = kind.outputs(spec);
    const entry = await this.journal.begin(spec, outputs);
    for (const path of entry.outputs) context.emit?.('output', { path });
    const reporter = new ProgressReporter((progress) => context.emit?.('progress', progress));
    const memoryLimit = memoryLimitOf(spec.maxMemory, await hostMemory());
    try {
      const report: StepReport = await kind.run(spec, {
        memoryLimit,
        progress: (step) => reporter.report(label === '' ? step : { ...step, phase: `${label}: ${step.phase}` }),
        log: (message, level = 'info') => context.emit?.('log', { level, message }),
        runtime: () => this.runtimes.get(spec),
        ...(context.signal ? { signal: context.signal } : {}),
      });
      await this.journal.end(entry);
      return report;
    } catch (error) {
      await this.journal.end(entry, error);
      throw error;
    } finally {
      await this.runtimes.releaseIdle();
      reporter.flush();
    }
  }

  private runRecipe(spec: Extract<JobSpec, { readonly kind: 'recipe' }>, context: CallContext): Promise<ReportOf<typeof spec>> {
    return runRecipe(spec, {
      methods: describeAllMethods(),
      runStep: (step, { name, index, count }) => this.runStep(step, context, `Step ${index + 1} of ${count} (${name})`),
      log: (message) => context.emit?.('log', { level: 'info', message }),
      stateFolder: this.stateFolder,
      ...(context.signal ? { signal: context.signal } : {}),
    });
  }

  private async estimateRecipe(
    spec: Extract<JobSpec, { readonly kind: 'recipe' }>,
    context: EstimateContext,
  ): Promise<{ readonly estimate: JobEstimate; readonly outputs: readonly string[] }> {
    const recipe = await planRecipe(spec, describeAllMethods());
    const estimates: JobEstimate[] = [];
    const outputs: string[] = [];
    const unknown: string[] = [];
    for (const step of recipe.steps) {
      try {
        const { estimate, outputs: written } = await estimateStep(step.spec, context);
        estimates.push(estimate);
        outputs.push(...written);
      } catch (error) {
        // A step that works on what an earlier one writes cannot be estimated before that exists.
        if (!LoomweightError.is(error, 'not-found')) throw error;
        unknown.push(step.name);
      }
    }
    const sum = addEstimates(estimates);
    const note = `Not in the forecast, because they need the result of an earlier step: ${unknown.join(', ')}.`;
    return { estimate: unknown.length === 0 ? sum : { ...sum, notes: [...(sum.notes ?? []), note] }, outputs };
  }
}

/** The process itself, which needs no graphics memory. */
const processBytes = 180e6;

/** A kind that does not know its device memory is taken to need there what it holds on the host: weights and activations. */
function withDeviceMemory(estimate: JobEstimate): JobEstimate {
  if (estimate.deviceMemoryBytes !== undefined) return estimate;
  return {
    ...estimate,
    deviceMemoryBytes: Math.max(0, estimate.hostMemoryBytes - processBytes),
    notes: [...(estimate.notes ?? []), 'Graphics memory is forecast as what the job holds on the host at most.'],
  };
}

async function estimateStep(
  spec: StepJobSpec,
  context: EstimateContext,
): Promise<{ readonly estimate: JobEstimate; readonly outputs: readonly string[] }> {
  const kind = jobKindOf(spec);
  return { estimate: await kind.estimate(spec, context), outputs: kind.outputs(spec) };
}

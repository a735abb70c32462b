import { LoomweightError, throwIfCancelled } from '../../protocol/errors';
import type { TrainingEvaluation } from '../../protocol/training';
import { comesBefore } from './best';
import type { Checkpoint, CheckpointFolder } from './checkpoint';
import { TrainingCurve } from './curve';
import type { HostValues, StepObjective } from './objective';
import { overwritesState } from './overwriting';
import { hostValues, withoutSlots, type StateTensor, type StateValues } from './state';
import { releaseArrays } from '../runtime/releaseArrays';
import type { StepRunner, StepsRun } from './stepRunner';
import type { TrainRequest } from './trainRequest';

/** A run of steps lasts about so long: long enough to be cheap, short enough for progress and cancel. */
const secondsPerRun = 1;
/** Copying the state out of a run takes so long for each byte (0.7 ms/MB, measured); a run may last so many times that, but not more than a few seconds. */
const copySecondsPerByte = 0.7e-9;
const copiesPerRun = 16;
const longestRun = 4;
/** A run has at most so many times the steps of the one before, as the first runs are slower than the rest. */
const fastestGrowth = 4;
/** A checkpoint is written at least so often. */
const secondsBetweenCheckpoints = 60;
/** Share of the steps between two evaluations, unless told. */
const evaluationsInAll = 10;

/** Parts that a run works with. */
export interface TrainingParts {
  readonly layout: readonly StateTensor[];
  readonly runner: StepRunner;
  readonly frozen: StateValues;
  readonly settings: Checkpoint['settings'];
  readonly mode: 'loop' | 'steps';
  readonly state: StateValues;
  readonly checkpoints: CheckpointFolder | undefined;
  readonly resumed: Checkpoint | undefined;
  /** Numbers of threads with which it has run so far, with this run. */
  readonly threads: readonly number[];
}

/** One training from its first (or resumed) step to its last: runs of steps, and between them refreshes, evaluations, checkpoints, progress. */
export class TrainingRun {
  /** Without the states that it began with: they would stay in memory to the end. */
  private readonly parts: Omit<TrainingParts, 'state' | 'resumed'>;
  private step: number;
  private state: StateValues;
  private readonly curve: TrainingCurve;
  private readonly evaluations: TrainingEvaluation[];
  private best: Checkpoint['best'];
  private readonly evaluateEvery: number;
  /** Each run writes the new state into the arrays of the one before, which no longer exists afterwards. */
  private readonly overwrites: boolean;
  private lastCheckpoint = performance.now();
  /** Step of the last checkpoint. */
  private savedStep: number | undefined;
  private stepsRun = 0;
  private secondsRun = 0;
  private stepsInRun = 1;

  constructor(
    private readonly request: TrainRequest<unknown>,
    { state, resumed, ...parts }: TrainingParts,
  ) {
    const { spec } = request;
    this.parts = parts;
    this.step = resumed?.step ?? 0;
    this.state = state;
    this.curve = new TrainingCurve(spec.steps, resumed?.curve);
    this.evaluations = [...(resumed?.evaluations ?? [])];
    this.evaluateEvery = Math.max(1, spec.evaluateEvery ?? Math.ceil(spec.steps / evaluationsInAll));
    this.best = resumed?.best;
    this.savedStep = resumed?.step;
    this.overwrites = request.overwrite ?? overwritesState(request.context.runtime.environment.provider, bytesOf(state.values()));
  }

  async finish(): Promise<{
    readonly best: { readonly step: number; readonly state: StateValues };
    readonly curve: ReturnType<TrainingCurve['sofar']>;
    readonly evaluations: readonly TrainingEvaluation[];
    readonly stepsPerSecond: number;
  }> {
    const { spec } = this.request;
    try {
      // What a run overwrites cannot be saved once it has diverged.
      if (this.overwrites && this.savedStep === undefined) await this.save();
      // A cancel may come during an evaluation: the checkpoint then has the step without it.
      if (this.isEvaluated(this.step) && !this.evaluations.some(({ step }) => step === this.step)) await this.evaluateAndSave();
      while (this.step < spec.steps) await this.advance();
    } catch (error) {
      if (LoomweightError.is(error, 'cancelled')) await this.save();
      throw error;
    }
    const best = this.best ?? { step: this.step, state: withoutSlots(this.parts.layout, this.state) };
    return { best, curve: this.curve.sofar(this.step), evaluations: this.evaluations, stepsPerSecond: this.stepsPerSecond() };
  }

  private async advance(): Promise<void> {
    const { objective, context } = this.request;
    const { refresh } = objective;
    throwIfCancelled(context.signal);
    const before = this.step;
    const count = this.nextRunLength();
    const started = performance.now();
    const kept = this.best ? [...this.best.state.values()] : [];
    const run = await this.parts.runner.run(this.state, before, count, this.overwrites ? { overwrite: { kept } } : {});
    const seconds = (performance.now() - started) / 1000;
    await this.requireFinite(run, before, count);
    this.adapt(seconds, count);
    for (let index = 0; index < count; index += 1)
      this.curve.add(
        before + index,
        Object.fromEntries(Object.entries(run.metrics).map(([name, values]) => [name, values[index] as number])),
      );
    releaseArrays(this.state.values(), [...run.state.values(), ...kept]);
    this.state = run.state;
    this.step = before + count;
    if (refresh && this.step % refresh.every === 0) this.refresh(refresh);
    this.report('Training');
    if (this.isEvaluated(this.step)) await this.evaluateAndSave();
    else if (performance.now() - this.lastCheckpoint > secondsBetweenCheckpoints * 1000) await this.save();
  }

  private isEvaluated(step: number): boolean {
    return step > 0 && (step === this.request.spec.steps || step % this.evaluateEvery === 0);
  }

  private async evaluateAndSave(): Promise<void> {
    await this.evaluate();
    await this.save();
  }

  /** Up to the next step at which something else happens, and no longer than the measured time allows. */
  private nextRunLength(): number {
    const { spec, objective, stepsPerRun } = this.request;
    const until = (every: number): number => every - (this.step % every);
    return Math.min(
      spec.steps - this.step,
      until(this.evaluateEvery),
      objective.refresh ? until(objective.refresh.every) : Infinity,
      this.parts.runner.longestRun(this.step),
      stepsPerRun ?? this.stepsInRun,
    );
  }

  private adapt(seconds: number, count: number): void {
    this.stepsRun += count;
    this.secondsRun += seconds;
    const wanted = Math.min(longestRun, Math.max(secondsPerRun, copiesPerRun * copySecondsPerByte * bytesOf(this.state.values())));
    const fitting = Math.floor((wanted * count) / Math.max(seconds, 1e-6));
    this.stepsInRun = Math.max(1, Math.min(fitting, count * fastestGrowth));
  }

  private refresh(refresh: NonNullable<StepObjective['refresh']>): void {
    this.state = new Map([...this.state, ...Object.entries(refresh.apply(this.hostValues(), this.step))]);
  }

  private hostValues(): HostValues {
    return hostValues(this.state, this.parts.frozen);
  }

  private async evaluate(): Promise<void> {
    const { objective, context } = this.request;
    this.report('Evaluating');
    const { evaluation, rank } = await objective.evaluate(this.hostValues(), this.step, context.signal);
    this.evaluations.push(evaluation);
    if (Number.isFinite(evaluation.loss) && comesBefore(rank, this.best?.rank)) {
      releaseArrays(this.best?.state.values() ?? [], this.state.values());
      this.best = { step: this.step, rank, state: withoutSlots(this.parts.layout, this.state) };
    }
    this.report('Training');
  }

  private async save(): Promise<void> {
    const { checkpoints, settings, threads } = this.parts;
    this.lastCheckpoint = performance.now();
    await checkpoints?.save({
      step: this.step,
      settings,
      curve: this.curve.save(),
      evaluations: this.evaluations,
      threads,
      state: this.state,
      ...(this.best ? { best: this.best } : {}),
    });
    this.savedStep = this.step;
  }

  /**
   * Stops a training whose numbers are no longer finite. The last good state is kept: that before the run, or, where the run has overwritten it, that of the last
   * checkpoint.
   */
  private async requireFinite(run: StepsRun, before: number, count: number): Promise<void> {
    const { layout } = this.parts;
    for (let index = 0; index < count; index += 1)
      for (const [name, values] of Object.entries(run.metrics))
        if (!Number.isFinite(values[index]))
          throw await this.diverged(name === 'loss' ? 'The loss' : `The value '${name}'`, before + index, values[index] as number);
    // The last update of a run has no loss after it yet. NaN in an optimiser's slot shows in its tensor.
    const broken = layout.find(({ key, slotOf }) => !slotOf && !isFiniteArray(run.state.get(key) as Float32Array));
    if (broken !== undefined) throw await this.diverged(`'${broken.key}'`, before + count - 1, NaN);
  }

  /** Keeps the last good state and makes the error that says where it is. */
  private async diverged(what: string, step: number, value: number): Promise<LoomweightError> {
    if (!this.overwrites) await this.save();
    return notFinite(what, step, value, this.savedStep ?? this.step, this.parts.checkpoints);
  }

  private stepsPerSecond(): number {
    return this.secondsRun === 0 ? 0 : this.stepsRun / this.secondsRun;
  }

  private report(phase: string): void {
    const { spec, context } = this.request;
    context.progress({
      phase,
      done: this.step,
      total: spec.steps,
      unit: 'steps',
      training: {
        step: this.step,
        steps: spec.steps,
        stepsPerSecond: this.stepsPerSecond(),
        mode: this.parts.mode,
        curve: this.curve.sofar(this.step),
        evaluations: [...this.evaluations],
        ...(this.best ? { bestStep: this.best.step } : {}),
      },
    });
  }
}

function bytesOf(arrays: Iterable<Float32Array>): number {
  return [...arrays].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** A sum is finite only if all parts are, and float32 parts cannot overflow one in float64. Four sums at once: one alone would wait for itself. */
function isFiniteArray(values: Float32Array): boolean {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = values.length & ~3;
  for (let index = 0; index < whole; index += 4) {
    a += values[index] as number;
    b += values[index + 1] as number;
    c += values[index + 2] as number;
    d += values[index + 3] as number;
  }
  for (let index = whole; index < values.length; index += 1) a += values[index] as number;
  return Number.isFinite(a + b + c + d);
}

function notFinite(what: string, step: number, value: number, kept: number, checkpoints: CheckpointFolder | undefined): LoomweightError {
  const where = checkpoints === undefined ? '' : ` The state after ${kept} steps, the last good one, is kept in ${checkpoints.folder}.`;
  return new LoomweightError(
    'runtime',
    `${what} became ${Number.isNaN(value) ? 'NaN' : 'infinite'} at step ${step + 1}; training stopped.${where} ` +
      'Use a lower learning rate, a warm-up or --clip, and look for values in the data that are not finite.',
    { step: step + 1, checkpoint: checkpoints?.folder, checkpointStep: checkpoints && kept },
  );
}

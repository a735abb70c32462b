import type { EngineEvents } from '../../protocol/engine';
import type { JobSpec, ReportOf } from '../../protocol/jobs';
import type { Runtime } from '../runtime/types';
import type { ProgressStep } from '../runtime/workContext';
import type { JobEstimate } from './estimate';

/** What a running job may use. */
export interface JobContext {
  readonly signal?: AbortSignal;
  readonly progress: (step: ProgressStep) => void;
  readonly log: (message: string, level?: EngineEvents['log']['level']) => void;
  /** Bytes that the process may hold: `--max-memory`, else most of what is free. Work is planned below it. */
  readonly memoryLimit: number;
  /** The runtime with the job's provider and threads; made when first asked for. */
  readonly runtime: () => Promise<Runtime>;
}

/** What an estimate may look at. */
export interface EstimateContext {
  readonly provider: string;
  readonly threads: number;
  /** As in JobContext. */
  readonly memoryLimit: number;
}

/** One kind of job: what it writes, what it will need, how it runs. To add a kind: a file like compress.ts and a line in jobKinds.ts. */
export interface JobKind<Spec extends JobSpec> {
  /** False for jobs that only read bytes: ONNX Runtime is not loaded for them. */
  readonly usesRuntime: boolean;
  /** Paths that the job will write, for clean-up after a crash and for the free disk. */
  outputs(spec: Spec): readonly string[];
  estimate(spec: Spec, context: EstimateContext): Promise<JobEstimate>;
  run(spec: Spec, context: JobContext): Promise<ReportOf<Spec>>;
}

import type { JobProgress, JobSpec } from '../../protocol/jobs';
import type { JobDescription } from '../../protocol/kinds';
import type { JobLine } from '../../protocol/panels/job';
import type { RunFollower, RunListener } from '../../protocol/client/runs/followRun';
import type { RunRecord } from '../../protocol/client/runs/runFiles';

/** The runs of jobs behind the editor: a port, so that the editor's own parts can be tested without processes. */
export interface JobRuns {
  /** Starts a job in a process of its own, which outlives this window. Resolves when it has begun. */
  start(spec: JobSpec, description: JobDescription): Promise<RunRecord>;
  /** Makes the folder of the runs, which can then be watched. Gives its path. */
  prepare(): Promise<string>;
  /** Runs of this workspace, newest first. */
  list(): Promise<readonly RunRecord[]>;
  follow(record: RunRecord, listener: RunListener): RunFollower;
  cancel(id: string): Promise<void>;
  /** Forgets an ended run. */
  remove(id: string): Promise<void>;
  /** What a run had come to. */
  past(id: string): Promise<{ readonly progress?: JobProgress; readonly lines: readonly JobLine[] }>;
}

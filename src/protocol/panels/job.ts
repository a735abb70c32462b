import type { RequestShapes } from './requestShapes';
import { nothing, objectOf, oneOf, required } from './requestShapes';
import type { TrainingProgress } from '../training';

/** What the Job panel draws: a snapshot, sent on "ready" and again whenever it changes; never a delta. */
export interface JobView {
  /** The job that the panel belongs to; the page keeps it, so that a restored panel finds its job again. */
  readonly job: string;
  readonly title: string;
  /** What the job works with: `diffq, target 4 bits`. */
  readonly subtitle: string;
  readonly status: 'running' | 'done' | 'failed' | 'cancelled' | 'interrupted';
  /** How far a running job is, from 0 to 1; absent while unknown. */
  readonly fraction?: number;
  /** What a running job is doing; what it came to; or why it failed. */
  readonly statusText: string;
  readonly elapsedSeconds?: number;
  readonly remainingSeconds?: number;
  readonly rssBytes?: number;
  /** Learning jobs: curves and the newest values. */
  readonly training?: TrainingProgress;
  /** Messages of the job so far, oldest first. */
  readonly log: readonly JobLine[];
  readonly actions: readonly JobAction[];
}

/** A line of a job's log. */
export interface JobLine {
  /** Seconds since the job's start. */
  readonly seconds: number;
  readonly level: 'info' | 'notice' | 'warning' | 'error';
  readonly text: string;
}

/** Everything that a button of the page can do. */
export const jobActions = ['cancel', 'resume', 'openReport', 'bitAllocation', 'revealOutput'] as const;

/** A button; the host knows what it does. */
export interface JobAction {
  readonly id: (typeof jobActions)[number];
  readonly label: string;
}

/** What the Job panel may ask of its host. */
export interface JobRequests {
  /** The page (re)starts. */
  ready(): Promise<JobView>;
  act(request: { readonly action: JobAction['id'] }): Promise<void>;
}

/** Messages from the host to the Job panel. */
export interface JobEvents {
  changed: JobView;
}

/** What the requests of the Job panel must look like. */
export const jobShapes: RequestShapes<JobRequests> = { ready: nothing, act: objectOf({ action: required(oneOf(jobActions)) }) };

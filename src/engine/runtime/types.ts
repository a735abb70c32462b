import type { DType } from '../../protocol/dtypes';
import type { RunEnvironment } from '../../protocol/report';
import type { Graph } from '../graph/graph';

/** A tensor as it goes into and comes out of a run. Data of 16-bit floats is Uint16Array, of bool Uint8Array; 4-bit types cannot cross. */
export interface RuntimeTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data:
    | Float32Array
    | Float64Array
    | Uint8Array
    | Int8Array
    | Uint16Array
    | Int16Array
    | Int32Array
    | Uint32Array
    | BigInt64Array
    | BigUint64Array;
}

/** Options of a session that change its results. */
export interface SessionOptions {
  /** ORT's graph optimisation level. Default `all`. */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all';
  /** True: fused 4-bit kernels round activations to int8 only if false (ORT's default). Default true: exact. */
  readonly exactMatMulNBits?: boolean;
  /** Keep initialisers unpacked and memory-mapped: quick to create, for models that run once or must stay small. */
  readonly disablePrepacking?: boolean;
  /** Write ONNX Runtime's profile of all runs to a file whose name begins so; complete after the release. */
  readonly profile?: string;
}

/** A graph ready to run. Runs block the thread; keep each under about a second where progress matters. */
export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  run(feeds: Readonly<Record<string, RuntimeTensor>>, outputs?: readonly string[]): Promise<Readonly<Record<string, RuntimeTensor>>>;
  release(): Promise<void>;
}

/** The runtime that a job was given: one provider, chosen once, reported. Nothing outside `runtime` knows ONNX Runtime. */
export interface Runtime {
  /** Where it runs and why; names the operators that fell back to the CPU once a run has shown them. */
  readonly environment: RunEnvironment;
  /**
   * A session for one of our graphs (constants inline, or external under `folder`). Asking again for the same Graph object
   * with the same options gives the prepared session back; each must be released once. `keep: false` for graphs that nobody will ask for
   * again: their working memory is given back with the release instead of staying prepared.
   */
  createFromGraph(graph: Graph, options?: SessionOptions & { readonly folder?: string; readonly keep?: boolean }): Promise<Session>;
  /** A session for an ONNX file on disk, external data beside it. */
  createFromFile(path: string, options?: SessionOptions): Promise<Session>;
  /** Sentences on what did not run where it should have: operators that fell back to the CPU. Empty on the CPU. */
  notes(): readonly string[];
  /** Releases prepared sessions that nobody uses: what they hold must not count against the next job. */
  releaseIdle(): Promise<void>;
  /** Releases every session, kept ones too. */
  dispose(): Promise<void>;
}

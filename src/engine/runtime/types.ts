import type { DType } from '../../protocol/dtypes';
import type { RunEnvironment } from '../../protocol/report';
import type { Graph } from '../graph/graph';

/** A tensor passed into or out of a run. Data of 16-bit floats is Uint16Array, of bool Uint8Array; 4-bit types are not supported. */
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

/** Session options that change its results. */
export interface SessionOptions {
  /** ORT's graph optimisation level. Default `all`. */
  readonly optimization?: 'disabled' | 'basic' | 'extended' | 'all';
  /** If false, fused 4-bit kernels round activations to int8 (ORT's default). Default true: exact. */
  readonly exactMatMulNBits?: boolean;
  /** Keep initialisers unpacked and memory-mapped: fast to create, for models that run once or must stay small. */
  readonly disablePrepacking?: boolean;
  /**
   * False: memory is taken as nodes ask for it, not planned from the run before. A loop's body keeps what its first round took beside the plan for all others:
   * about twice what a round needs. Default true.
   */
  readonly planMemory?: boolean;
  /** Writes ONNX Runtime's profile of all runs to a file with this name prefix; complete after the release. */
  readonly profile?: string;
}

/** A graph ready to run. Runs block the thread; keep each below about a second if progress matters. */
export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /**
   * Runs the graph. `outputs`: the wanted ones, default all. `into`: wanted outputs by name, each with a tensor of its type and shape that it is written into; the result
   * then holds that tensor, and the runtime allocates no memory of its own for the output. Do not pass an input's array unless the graph has read that input before it
   * writes the output.
   */
  run(
    feeds: Readonly<Record<string, RuntimeTensor>>,
    outputs?: readonly string[],
    into?: Readonly<Record<string, RuntimeTensor>>,
  ): Promise<Readonly<Record<string, RuntimeTensor>>>;
  release(): Promise<void>;
}

/** The runtime of a job: one provider, chosen once and reported. Nothing outside `runtime` depends on ONNX Runtime. */
export interface Runtime {
  /** Where it runs and why; names the operators that fell back to the CPU once a run has shown them. */
  readonly environment: RunEnvironment;
  /**
   * A session for a graph (constants inline, or external under `folder`). Requesting the same Graph object with the same options again
   * returns the existing session; each must be released once. `keep: false` for graphs that will not be requested again: their working
   * memory is freed on release instead of being kept.
   */
  createFromGraph(graph: Graph, options?: SessionOptions & { readonly folder?: string; readonly keep?: boolean }): Promise<Session>;
  /** A session for an ONNX file on disk, with external data next to it. */
  createFromFile(path: string, options?: SessionOptions): Promise<Session>;
  /** Sentences about what did not run where it should have: operators that fell back to the CPU. Empty on the CPU. */
  notes(): readonly string[];
  /** Releases idle sessions: their memory must not count against the next job. */
  releaseIdle(): Promise<void>;
  /** Releases every session, including kept ones. */
  dispose(): Promise<void>;
}

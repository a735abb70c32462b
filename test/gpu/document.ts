import type { ProviderShare } from '../../src/engine/runtime/profile';

/** Providers that the check can put in the card's place. */
export type CheckedProvider = 'cuda' | 'webgpu' | 'cpu';

/** Parts in the order in which they run. */
export const partNames = ['devices', 'operators', 'gradients', 'training', 'perplexity', 'rounding', 'evaluation', 'peer'] as const;
export type PartName = (typeof partNames)[number];

/**
 * How a part ended. `agrees` and `disagrees`: the provider's results against the CPU's; `measured`: nothing to compare; `timeout`: its time was over, what it
 * had is kept; `skipped`: something is missing here, the note says what; `failed`: it ended with an error, which is a disagreement.
 */
export type PartStatus = 'agrees' | 'disagrees' | 'measured' | 'timeout' | 'skipped' | 'failed';

/** How a part ended, and what it found. */
export interface PartEnd {
  readonly status: PartStatus;
  /** One sentence on what is missing, disagrees or went wrong. */
  readonly note?: string;
  readonly [detail: string]: unknown;
}

/** The same with how long it took. */
export interface PartResult extends PartEnd {
  readonly seconds: number;
}

/** One graph, run on the provider and compared. */
export interface CaseResult {
  readonly name: string;
  /** Where its nodes ran: all on the provider, some on the CPU, all on the CPU. */
  readonly placed: 'provider' | 'mixed' | 'cpu';
  /** Operators that fell back to the CPU. */
  readonly fellBack?: readonly string[];
  /** Largest difference from the CPU's result, relative to the largest value of that output; none where there was nothing to compare. */
  readonly error?: number;
  /** The same against the float64 interpreter, where it has the operator. */
  readonly referenceError?: number;
  readonly agrees: boolean;
  /** What is wrong, where something is. */
  readonly problem?: string;
}

/** Figures of a measured job. */
export interface Measurement {
  /** By provider, from ONNX Runtime's profile of a shorter run; see `NodeRun.microseconds` on what the time of a card's node means. */
  readonly shares: readonly ProviderShare[];
  /** Distinct nodes on the CPU that should have run on the provider; 0 where the provider is the CPU. */
  readonly nodesOnCpu: number;
}

/** What a part's process tells the one that started it, a line of JSON each. */
export type Message =
  | { readonly kind: 'begin'; readonly index: number; readonly name: string }
  | { readonly kind: 'case'; readonly index: number; readonly result: CaseResult }
  | { readonly kind: 'result'; readonly result: PartEnd };

/** What a part is given. */
export interface PartRequest {
  readonly provider: CheckedProvider;
  /** Fewer repetitions and smaller sizes, not fewer kinds. */
  readonly short: boolean;
  /** Folder of models, data and peer.py. */
  readonly folder: string;
  /** A folder of this part's own. */
  readonly scratch: string;
  /** First case to run, and how many of the following belong to other processes: cases are dealt to several, and after one died, another takes its rest. */
  readonly from: number;
  readonly stride: number;
  /** Taken where the provider computes although the device checks say that something is missing. */
  readonly trust: boolean;
  tell(message: Message): void;
}

/** The whole check. */
export interface CheckDocument {
  readonly program: 'loomweight gpu check';
  readonly version: string;
  readonly provider: CheckedProvider;
  readonly mode: 'full' | 'short';
  /** `nothing ran` where no part could compare anything. */
  readonly outcome: 'agrees' | 'disagrees' | 'nothing ran';
  /** Every note of a part, with its name. */
  readonly notes: readonly string[];
  readonly machine: {
    readonly platform: string;
    readonly node: string;
    readonly cores: number;
    /** Folders that were put on the library path for CUDA and cuDNN. */
    readonly cudaFolders: readonly string[];
    readonly python?: string;
  };
  readonly seconds: number;
  readonly parts: Readonly<Partial<Record<PartName, PartResult>>>;
}

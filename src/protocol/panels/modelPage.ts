import type { RequestShapes } from './requestShapes';
import { nothing, numberIn, objectOf, optional, required, text, wholeNumberIn } from './requestShapes';
import type { Diagnostic, GraphSummary, ModelFormat, TensorPicture, TensorStatistics, TensorSummary } from '../model';

/** What the page of a model shows first; the rest of a long tensor list is fetched in pieces. */
export interface ModelPageView {
  /** Names the model to the host, which finds it again after a restart of the window; the page keeps it. */
  readonly key: string;
  readonly name: string;
  readonly path: string;
  readonly state: 'ready' | 'failed' | 'deleted';
  /** A sentence above the page: the file was deleted, changed on disk, cannot be read, is in a virtual file system. */
  readonly notice?: string;
  /** What the user may do about the notice. */
  readonly advice?: string;
  /** Rises when the file changes on disk: rows and values of an older version are stale. */
  readonly version: number;
  /** Absent while the model cannot be read. */
  readonly format?: ModelFormat;
  readonly architecture: string;
  readonly parameters: number;
  readonly bytes: number;
  readonly dtypes: readonly string[];
  readonly compressed?: { readonly method: string; readonly bitsPerWeight: number };
  readonly metadata: Readonly<Record<string, string>>;
  readonly graph?: GraphSummary;
  readonly diagnostics: readonly Diagnostic[];
  readonly tensorCount: number;
  /** The first rows, at most `firstTensors`. */
  readonly tensors: readonly TensorSummary[];
  /** Why values may not be read (untrusted workspace); absent if they may. */
  readonly valuesRefused?: string;
}

/** Rows in the first message, and in each piece after it. */
export const firstTensors = 500;
export const tensorsPerPiece = 20_000;

/** A rectangle of a tensor seen as a matrix, in elements. */
export type PictureRegion = TensorPicture['region'];

/** What the page of a model may ask of its host. */
export interface ModelPageRequests {
  /** The page (re)starts: the current view, and the tensor to select if one was asked for. */
  ready(): Promise<{ readonly view: ModelPageView; readonly select?: string }>;
  tensors(request: { readonly offset: number; readonly count: number }): Promise<readonly TensorSummary[]>;
  statistics(request: { readonly tensor: string }): Promise<TensorStatistics>;
  picture(request: {
    readonly tensor: string;
    readonly region?: PictureRegion;
    readonly width: number;
    readonly height: number;
  }): Promise<TensorPicture>;
  copy(request: { readonly text: string }): Promise<void>;
  compress(): Promise<void>;
  manageTrust(): Promise<void>;
}

/** Messages from the host to the page of a model. */
export interface ModelPageEvents {
  changed: ModelPageView;
  select: { readonly tensor: string };
}

const tensorName = text(100_000);
const edge = wholeNumberIn(0, Number.MAX_SAFE_INTEGER);

/** What the requests of the page of a model must look like. */
export const modelPageShapes: RequestShapes<ModelPageRequests> = {
  ready: nothing,
  tensors: objectOf({ offset: required(edge), count: required(wholeNumberIn(0, tensorsPerPiece)) }),
  statistics: objectOf({ tensor: required(tensorName) }),
  picture: objectOf({
    tensor: required(tensorName),
    region: optional(objectOf({ row: required(edge), rows: required(edge), column: required(edge), columns: required(edge) })),
    width: required(numberIn(0, 1e5)),
    height: required(numberIn(0, 1e5)),
  }),
  copy: objectOf({ text: required(text(1_000_000)) }),
  compress: nothing,
  manageTrust: nothing,
};

import type { DType } from '../../../protocol/dtypes';
import type { Attribute } from '../../graph/graph';

/** New values: whole, or pieces that are requested when the file is written. */
export type NewWeight =
  | { readonly dtype: DType; readonly shape: readonly number[]; readonly bytes: Uint8Array }
  | { readonly dtype: DType; readonly shape: readonly number[]; readonly pieces: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array> };

/** A node to insert, by names of values. Empty names are omitted inputs. */
export interface NewNode {
  readonly op: string;
  readonly domain?: string;
  readonly name?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/** Options for writing an edited model. `auto` (default) moves weights to `<path>_data` if the file would exceed 1 GiB. */
export interface WriteEditedOptions {
  readonly externalData?: 'never' | 'auto' | 'always';
}

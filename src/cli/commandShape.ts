import type { OptionSpec } from './options';

/** An argument without a flag, in order. */
export interface PositionalSpec {
  /** As in the usage line: `MODEL`. */
  readonly name: string;
  readonly doc: string;
}

/** The part of a command that the parser needs. */
export interface CommandShape {
  readonly name: string;
  readonly positionals: readonly PositionalSpec[];
  /** Without the shared ones. */
  readonly options: readonly OptionSpec[];
}

import type { ParamSpec } from '../common/params';

/** A method as the command line, the panels and docs/methods.md see it. */
export interface MethodDescription {
  readonly id: string;
  readonly family: 'quantizer' | 'pruner' | 'training' | 'merge';
  readonly label: string;
  readonly summary: string;
  readonly source: MethodSource;
  readonly parameters: readonly ParamSpec[];
  /** Statistics that the runner collects for it: empty for methods that need no data. */
  readonly needs: readonly string[];
  /** Methods of training only: widths are learned, under a target or a penalty. */
  readonly learnsWidths?: boolean;
}

/** Origin of a method. */
export interface MethodSource {
  readonly title: string;
  readonly authors?: string;
  readonly year?: number;
  readonly url: string;
  readonly equation?: string;
}

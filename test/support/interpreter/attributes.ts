import type { ReferenceContext } from './interpreter';

/** A number attribute, or the specification's default. */
export function numberOf({ attributes }: Pick<ReferenceContext, 'attributes'>, name: string, fallback: number): number {
  const attribute = attributes[name];
  return attribute?.kind === 'int' || attribute?.kind === 'float' ? attribute.value : fallback;
}

/** A text attribute, or the specification's default. */
export function textOf({ attributes }: Pick<ReferenceContext, 'attributes'>, name: string, fallback: string): string {
  const attribute = attributes[name];
  return attribute?.kind === 'string' ? attribute.value : fallback;
}

/** A list of whole numbers, where it is given. */
export function listOf({ attributes }: Pick<ReferenceContext, 'attributes'>, name: string): readonly number[] | undefined {
  const attribute = attributes[name];
  return attribute?.kind === 'ints' ? attribute.value : undefined;
}

/** An axis counted from the front. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
